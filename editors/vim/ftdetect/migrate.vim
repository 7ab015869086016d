" Rule files of migrate. Vim takes files of this ending for rules of Snort (`hog`), so what is written decides.
autocmd BufNewFile,BufRead *.rules if s:migrates() | call s:set() | endif

" Whether the first line that says something is one of a rule file, or nothing says anything yet.
function! s:migrates() abort
  if index(['', 'hog', 'conf'], &filetype) < 0
    return 0
  endif
  for line in getline(1, 200)
    if line =~# '^\s*\%(#\|$\)'
      continue
    endif
    " Not `drop tcp $HOME_NET any -> …` of Snort, `SUBSYSTEM==…` of udev, `groups:` of Prometheus.
    return line =~# '^\s*\l\+?\=\s\+\S' && line !~# '^\s*\l\+\s\+\%(tcp\|udp\|icmp\|ip\)\s'
  endfor
  return 1
endfunction

function! s:set() abort
  " Vim's own plugin for hog does not say how it is undone, and would keep ours from being read.
  unlet! b:did_ftplugin
  set filetype=migrate
endfunction
