<?php
/*
 * Plugin Name: The stack
 * Description: Sends WordPress's mail to the stack's mail server and keeps it from asking servers out of reach.
 */

// Debian's WordPress is older than Debian's PHP; what that PHP no longer likes is known, and fills every page.
if (WP_DEBUG) {
    error_reporting(E_ALL & ~E_DEPRECATED & ~E_USER_DEPRECATED);
}

add_action('phpmailer_init', function ($mailer): void {
    $mailer->isSMTP();
    $mailer->Host = stack_env('SMTP_HOST', 'mail');
    $mailer->Port = (int) stack_env('SMTP_PORT', '1025');
    $mailer->SMTPAuth = false;
    $mailer->SMTPAutoTLS = false;
    $mailer->Timeout = 10;
});

// The default, wordpress@localhost, is no address for PHPMailer: it would refuse every mail without a word.
add_filter('wp_mail_from', fn (): string => stack_env('MAIL_FROM', 'wordpress@example.test'));
add_filter('wp_mail_from_name', fn (): string => get_bloginfo('name'));

// Versions come with the image; the backend network has no way to wordpress.org.
foreach (['wp_version_check', 'wp_update_plugins', 'wp_update_themes'] as $check) {
    remove_action($check, $check);
}
remove_action('init', 'wp_schedule_update_checks');
foreach (['_maybe_update_core', '_maybe_update_plugins', '_maybe_update_themes'] as $check) {
    remove_action('admin_init', $check);
}

// WordPress keeps its schedule in one option, and a cron round writes back the copy it read when it began: a post that
// is scheduled meanwhile would be forgotten. So that round reads the schedule anew each time it changes it.
add_filter('pre_option_cron', function ($value) {
    if (wp_doing_cron()) {
        wp_cache_delete('alloptions', 'options');
    }
    return $value;
});
