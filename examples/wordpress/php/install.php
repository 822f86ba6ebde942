<?php
// Installs WordPress into an empty database, or brings the tables up to the files' version.
define('WP_INSTALLING', true);
require '/var/www/html/wp-load.php';
require_once ABSPATH . 'wp-admin/includes/upgrade.php';

if (is_blog_installed()) {
    if ((int) get_option('db_version') !== (int) $wp_db_version) {
        wp_upgrade();
        echo "tables brought up to version $wp_db_version\n";
    } else {
        echo "already installed\n";
    }
    exit(0);
}

$result = wp_install(
    stack_env('SITE_TITLE', 'WordPress'),
    stack_env('ADMIN_USER', 'admin'),
    stack_env('ADMIN_EMAIL', 'admin@example.test'),
    stack_env('SITE_PUBLIC', '1') === '1',
    '',
    stack_secret('wp_admin_password')
);
if (empty($result['user_id'])) {
    fwrite(STDERR, "WordPress was not installed\n");
    exit(1);
}
update_option('timezone_string', stack_env('TZ', 'UTC'));
update_option('blogdescription', stack_env('SITE_TAGLINE', ''));
$wp_rewrite->set_permalink_structure('/%year%/%postname%/');
$wp_rewrite->flush_rules();
echo "installed\n";
