<?php
// WordPress looks one folder above its own for this file, so it stays out of the volume and out of nginx's reach.
// All that differs between sites comes from the environment and from secrets.

function stack_env(string $name, string $default = ''): string {
    $value = getenv($name);
    return $value === false || $value === '' ? $default : $value;
}

function stack_secret(string $name): string {
    $value = @file_get_contents("/run/secrets/$name");
    if ($value === false) {
        throw new RuntimeException("the secret \"$name\" is not readable");
    }
    return trim($value);
}

define('DB_HOST', stack_env('DB_HOST', 'db'));
define('DB_NAME', stack_env('DB_NAME', 'wordpress'));
define('DB_USER', stack_env('DB_USER', 'wordpress'));
define('DB_PASSWORD', stack_secret('db_password'));
define('DB_CHARSET', 'utf8mb4');
define('DB_COLLATE', '');
$table_prefix = 'wp_';

foreach (['AUTH', 'SECURE_AUTH', 'LOGGED_IN', 'NONCE'] as $scheme) {
    define("{$scheme}_KEY", hash_hmac('sha256', "$scheme key", stack_secret('wp_salt')));
    define("{$scheme}_SALT", hash_hmac('sha256', "$scheme salt", stack_secret('wp_salt')));
}

define('WP_HOME', stack_env('SITE_URL', 'http://localhost:8080'));
define('WP_SITEURL', WP_HOME);
define('WP_ENVIRONMENT_TYPE', stack_env('ENVIRONMENT_TYPE', 'production'));
define('WP_DEBUG', stack_env('DEBUG') === '1');
define('WP_DEBUG_LOG', false);
define('WP_DEBUG_DISPLAY', PHP_SAPI !== 'cli');
define('DISALLOW_FILE_MODS', stack_env('FILE_MODS') !== '1');
define('WPMU_PLUGIN_DIR', '/usr/local/share/wordpress/mu-plugins');

// The service "cron" does this work: a request of php to the published address could not work from inside.
define('DISABLE_WP_CRON', true);
// The backend network leads nowhere; do not wait for update servers.
define('WP_HTTP_BLOCK_EXTERNAL', true);
define('AUTOMATIC_UPDATER_DISABLED', true);

if (PHP_SAPI === 'cli') {
    $_SERVER['HTTP_HOST'] = parse_url(WP_HOME, PHP_URL_HOST) ?: 'localhost';
    $_SERVER['REQUEST_METHOD'] = 'GET';
}

if (!defined('ABSPATH')) {
    define('ABSPATH', '/var/www/html/');
}
require_once ABSPATH . 'wp-settings.php';
