# Has the program write its completion scripts and manual pages to where shells and man(1) look below share/.
foreach(page IN ITEMS
    "bash:bash-completion/completions/compose" "bash:bash-completion/completions/docker-compose"
    "zsh:zsh/site-functions/_compose"
    "fish:fish/vendor_completions.d/compose.fish" "fish:fish/vendor_completions.d/docker-compose.fish")
  string(REPLACE ":" ";" page "${page}")
  list(GET page 0 shell)
  list(GET page 1 path)
  execute_process(COMMAND ${PROGRAM} completion ${shell} OUTPUT_VARIABLE script RESULT_VARIABLE code)
  if(NOT code EQUAL 0)
    message(FATAL_ERROR "${PROGRAM} completion ${shell} ended with ${code}")
  endif()
  file(WRITE ${FOLDER}/${path} "${script}")
endforeach()
execute_process(COMMAND ${PROGRAM} __man ${FOLDER}/man/man1 RESULT_VARIABLE code)
if(NOT code EQUAL 0)
  message(FATAL_ERROR "${PROGRAM} __man ended with ${code}")
endif()
