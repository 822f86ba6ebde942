#pragma once
// The wire between a command and the supervisor: newline-delimited JSON over <run>/projects/<p>/supervisor.sock. One
// request a connection; events stream back until {"event":"result"}. Closing the connection does not undo a request
// but "run" in the foreground and "events", which end with it; {"op":"cancel"} on the same connection does.
//
// Requests: {"op": …} with
//   apply    project: text of model::project_to_json, images: {service: image id, "" = a dry run would build it},
//            options: {services: [], force_recreate, no_recreate, no_deps, always_recreate_deps, renew_anon_volumes,
//            remove_orphans, no_start, run_ended_again, wait, wait_timeout (s), timeout (s), scale: {service: n}, dry_run}
//   create   as apply, without starting
//   down     project (optional), options: {volumes, remove_orphans, timeout (s), services: []}
//   stop, start, restart, kill, rm, pause, unpause
//            services: [], options: {timeout (s), signal, no_deps, volumes, stop, force; start: wait,
//            wait_timeout (s)}
//   scale    project, images, scale: {service: n}, options as apply
//   run      project, images, service, options: {name, command, entrypoint, …: already merged into the project's
//            service by the command line; auto_remove, service_ports, use_aliases, no_deps, detach}
//            -> {"event":"started","id","name"}, when not detached then the container's exit code in the result
//   recover, restore, job
//            the supervisor's own: dependents of what has crashed, what ran before a reboot, a run that is due
//   wait     services: []                      -> result with exit_code of the first that ends
//   events   services: []                      -> container events until the connection closes
//   rest     -> result when no request is worked on and nothing is scheduled
//   status   -> result with containers: [{id, name, service, number, status, health, exit_code}]
// Events: {"event":"progress","kind":"Container|Network|Volume","name","text","status":"working|done|warning|error"}
//   {"event":"container","action":"create|start|die|restart|stop|kill|pause|unpause|health_status|oom|destroy",
//    "id","name","service","time", "exit_code"?, "health"?, "restarting"?}
//   {"event":"hook","name","step":"post_start[0]","text"}: a line that a hook wrote
//   {"event":"warning","text"}
//   {"event":"result","ok":true,"exit_code":0,…} | {"event":"result","ok":false,"error","position":"file:line:col"}
#include <cstdint>

namespace compose::supervisor {

/// Raised when a request or an event changes its meaning.
inline constexpr int kProtocolVersion = 1;

}  // namespace compose::supervisor
