#pragma once
// One function per command: its description with the function that runs it. The table in commands.cpp names them.
#include "cli/args.hpp"

namespace compose::cli {

Command alpha_dry_run_command();
Command alpha_generate_command();
Command alpha_publish_command();
Command alpha_scale_command();
Command alpha_viz_command();
Command alpha_watch_command();
Command attach_command();
Command bridge_convert_command();
Command bridge_create_command();
Command bridge_list_command();
Command build_command();
Command commit_command();
Command completion_command();
Command complete_command();
Command config_command();
Command convert_command();
Command cp_command();
Command create_command();
Command doctor_command();
Command down_command();
Command events_command();
Command exec_command();
Command export_command();
Command graph_command();
Command image_history_command();
Command image_import_command();
Command image_inspect_command();
Command image_load_command();
Command image_ls_command();
Command image_prune_command();
Command image_rm_command();
Command image_save_command();
Command image_tag_command();
Command images_command();
Command kill_command();
Command logs_command();
Command ls_command();
Command pause_command();
Command port_command();
Command ps_command();
Command publish_command();
Command pull_command();
Command push_command();
Command restart_command();
Command rm_command();
Command run_command();
Command scale_command();
Command start_command();
Command stats_command();
Command stop_command();
Command supervise_command();
Command top_command();
Command unpause_command();
Command up_command();
Command version_command();
Command volumes_command();
Command wait_command();
Command watch_command();

}  // namespace compose::cli
