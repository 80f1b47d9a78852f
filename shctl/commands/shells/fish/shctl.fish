# fish completion for shctl
#
# This calls shctl with the command line in its environment, in click's protocol for fish; it prints
# "kind,value", a tab and help, one per line.

function __shctl_complete
    set -l answer (env _SHCTL_COMPLETE=fish_complete COMP_WORDS=(commandline -cp) \
        COMP_CWORD=(commandline -t) shctl 2>/dev/null)
    for line in $answer
        set -l parts (string split -m 1 , -- $line)
        switch $parts[1]
            case plain
                echo -- $parts[2]
            case dir
                __fish_complete_directories $parts[2]
            case file
                __fish_complete_path $parts[2]
        end
    end
end

complete --no-files --command shctl --arguments '(__shctl_complete)'
