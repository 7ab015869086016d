" Holds the highlighting against editors/lines.json, and tries how rule files are recognised. Run it from the
" root of the repository through tests/editors, which makes MIGRATE_SAMPLES: all rule files and examples.
set nocompatible encoding=utf-8
set runtimepath^=editors/vim
filetype plugin on
syntax on

" The groups of each class of editors/lines.json, without `migrate` in front.
let s:groups = {
      \ 'verb': ['Verb'], 'optional': ['Optional'], 'directive': ['Directive'], 'condition': ['Condition', 'Except'],
      \ 'arrow': ['Arrow', 'VersionArrow'], 'key': ['Key', 'LineKey', 'KeyParens', 'Term'],
      \ 'dot': ['Dot'], 'wildcard': ['Wildcard'],
      \ 'comma': ['Comma', 'ListComma', 'Separator', 'BindingComma', 'TermComma'],
      \ 'brace': ['Brace'], 'block': ['BlockBrace'], 'bracket': ['Bracket'],
      \ 'capture': ['Capture', 'AlternativesName', 'RegexName'], 'forget': ['Forget'],
      \ 'colon': ['Colon', 'AlternativesColon'], 'kind': ['Kind'], 'range': ['Range'],
      \ 'text': ['Alternatives', 'List'], 'bar': ['Bar'], 'option': ['Option', 'With'], 'name': ['Name'],
      \ 'definition': ['Definition', 'Binding'], 'tensor': ['TensorWord'], 'dtype': ['Dtype'],
      \ 'constant': ['Constant', 'ModeName', 'TermConstant', 'Fate'], 'number': ['Number', 'RangeEnd', 'TermNumber'],
      \ 'arithmetic': ['Arithmetic', 'Sign', 'TermSign', 'TermMinus', 'TermTimes'], 'comparison': ['Comparison'],
      \ 'logical': ['Logical'], 'assign': ['Assign'], 'slice': ['Slice'],
      \ 'function': ['Function', 'KeysFunction', 'TermFunction'], 'string': ['Text'], 'quote': ['Quote'],
      \ 'escape': ['Escape', 'RegexEscape'], 'regex': ['Regex'], 'group': ['RegexGroup', 'RegexNameEnd'],
      \ 'class': ['RegexClass'], 'quantifier': ['RegexQuantifier'], 'or': ['RegexOr'], 'anchor': ['RegexAnchor'],
      \ 'comment': ['Comment', 'Awaited', 'VersionComment', 'BindingComment'], 'version': ['Version'],
      \ 'module': ['Module'], 'illegal': ['UnknownVerb', 'Unexpected', 'UnknownKind', 'Unquoted'],
      \ }

let s:failures = []
let s:words = 0

" The group of each byte of the text; of a newline, none.
function! s:groups_of(text) abort
  enew!
  call setline(1, split(a:text, "\n", 1))
  setfiletype migrate
  let groups = []
  for row in range(1, line('$'))
    call extend(groups, map(range(1, len(getline(row))), 'synIDattr(synID(row, v:val, 1), "name")'))
    call add(groups, '')
  endfor
  return groups
endfunction

" Where a word stands next, and is no part of a longer one.
function! s:find(text, word, from) abort
  let at = stridx(a:text, a:word, a:from)
  while at >= 0
    let before = at > 0 && a:word[0] =~# '\w' && a:text[at - 1] =~# '\w'
    let behind = a:word[len(a:word) - 1] =~# '\w' && a:text[at + len(a:word)] =~# '\w'
    if !before && !behind
      return at
    endif
    let at = stridx(a:text, a:word, at + 1)
  endwhile
  return -1
endfunction

for s:case in json_decode(join(readfile('editors/lines.json'), "\n"))
  let s:given = s:groups_of(s:case.text)
  let s:at = 0
  for [s:word, s:class] in s:case.words
    let s:start = s:find(s:case.text, s:word, s:at)
    if s:start < 0
      call add(s:failures, s:case.title . ': `' . s:word . '` does not stand in the text')
      break
    endif
    let s:at = s:start + len(s:word)
    let s:wanted = map(copy(s:groups[s:class]), '"migrate" . v:val')
    for s:group in uniq(sort(s:given[s:start : s:at - 1]))
      if index(s:wanted, s:group) < 0
        let s:place = '`' . s:word . '` at ' . s:start
        call add(s:failures, s:case.title . ': ' . s:place . ' is ' . s:group . ', not ' . join(s:wanted, ' or '))
      endif
    endfor
    let s:words += 1
  endfor
endfor

" What the program accepts is nowhere marked as wrong, and nothing but white space is without a group.
let s:samples = filter(json_decode(join(readfile($MIGRATE_SAMPLES), '')), 'v:val.valid')
let s:wrong = map(copy(s:groups.illegal), '"migrate" . v:val')
for s:sample in s:samples
  let s:text = substitute(s:sample.text, '\r\|^\%uFEFF', '', 'g') . "\ndrop probe"
  let s:given = s:groups_of(s:text)
  for s:at in range(len(s:text))
    if s:text[s:at] !~# '\_s' && (s:given[s:at] ==# '' || index(s:wrong, s:given[s:at]) >= 0)
      let s:place = strpart(s:text, s:at, 20)->split("\n")[0]
      call add(s:failures, s:sample.name . ': `' . s:place . '` is `' . s:given[s:at] . '`')
      break
    endif
  endfor
  if s:given[-11:] !=# repeat(['migrateVerb'], 4) + [s:given[-7]] + repeat(['migrateKey'], 5) + ['']
    call add(s:failures, s:sample.name . ': a statement behind it is ' . join(s:given[-11:]))
  endif
endfor

" Which files of the ending are rule files.
let s:folder = tempname()
call mkdir(s:folder)
for [s:lines, s:wanted] in [
      \ [['# a comment', '', 'rename a.* -> b.*'], 'migrate'],
      \ [['migration v1 -> v2 "why"'], 'migrate'],
      \ [['drop **.num_batches_tracked'], 'migrate'],
      \ [['keep {', '  a', '}'], 'migrate'],
      \ [['drop tcp $HOME_NET any -> any any (sid:1;)'], 'hog'],
      \ [['alert tcp any any -> any 80 (sid:1;)'], 'hog'],
      \ [[], 'migrate'],
      \ ]
  let s:file = s:folder . '/' . len(s:lines) . '.rules'
  call writefile(s:lines, s:file)
  execute 'edit!' fnameescape(s:file)
  let s:type = &filetype
  if s:type !=# s:wanted
    call add(s:failures, 'a file that begins `' . get(s:lines, 0, '') . '` is ' . s:type . ', not ' . s:wanted)
  endif
  if s:wanted ==# 'migrate' && s:type ==# 'migrate' && &l:commentstring !=# '# %s'
    call add(s:failures, 'the commentstring is `' . &l:commentstring . '`')
  endif
  bwipeout!
endfor
call delete(s:folder, 'rf')

let s:count = s:words . ' words and ' . len(s:samples) . ' samples'
if s:words < 300 || len(s:samples) < 200
  call add(s:failures, 'only ' . s:count . ' were looked at')
endif
call writefile(s:failures + ['vim: ' . s:count . ', ' . len(s:failures) . ' failures'], $MIGRATE_REPORT)
if empty(s:failures)
  qall!
endif
cquit
