" Rule files of migrate.
"
" The first word behind a verb, a comma or an arrow is a key, whatever it is called. So each of these hands
" over to a key (`nextgroup`), and words that stand elsewhere are options.
if exists('b:current_syntax')
  finish
endif

let s:cpo = &cpoptions
set cpoptions&vim

" Words of the language; the tests compare them with the program's.
let s:verbs = 'rename drop keep copy tie untie unify split merge stack unstack reshape transpose permute rearrange slice pad repeat select flip cast fill scale offset compute interpolate set unset move leave assert'
let s:directives = 'migration let include use optimizer unwrap in under'
let s:options = 'dims dim sizes over into to by with at value shape dtype mode align_corners antialias'
let s:dtypes = 'f64 f32 f16 bf16 f8_e4m3 f8_e5m2 f8_e4m3fnuz f8_e5m2fnuz f8_e8m0 f6_e2m3 f6_e3m2 f4 c32 c64 c128 i64 i32 i16 i8 u64 u32 u16 u8 bool qint8 quint8 qint32 object'
let s:constants = 'arange eye inf nan true false none'
let s:modes = 'nearest-exact nearest linear bilinear trilinear bicubic area'
let s:functions = 'shape count len sum min max sqrt group within'
let s:tensor_functions = 'sum mean norm transpose'

function! s:any(words) abort
  return '\%(' . join(split(a:words), '\|') . '\)'
endfunction

syntax case match
syntax sync fromstart
" A key may hold letters of any kind; what is a word to the rules below is not the user's setting.
syntax iskeyword @,48-57,_

" The weakest come first: of two rules that begin at one letter, the later counts.
syntax match migrateUnexpected /\h\w*\|\S/
syntax match migrateComment /[^[:space:],(]\@1<!#.*/ contains=@Spell
syntax match migrateBlockBrace excludenl /{\ze\s*\%(#.*\)\=$/
syntax match migrateBlockBrace excludenl /^\s*\zs}/

" Keys: the parts of patterns and templates.
syntax region migrateKey start=/\ze[^[:space:],#]/ end=/[^[:space:],]\@1<=\ze[[:space:],]/ end=/\ze->/ excludenl end=/$/ contained contains=@migrateKeyPart
syntax cluster migrateKeyPart contains=migrateUnquoted,migrateDot,migrateWildcard,migrateArithmeticBrace,migrateCapture,migrateList,migrateAlternatives,migrateText,migrateRegex
syntax match migrateUnquoted /[()[\]}]/ contained
syntax match migrateDot /\./ contained
syntax match migrateWildcard /\*\*\=/ contained
syntax region migrateArithmeticBrace matchgroup=migrateBrace start=/{/ end=/}/ end=/\ze->/ end=/^\ze[^"#]*->/ contained contains=@migrateExpression
syntax match migrateCapture /{\s*\h\w*\%(\s*:\s*\%(\d\+\s*\.\.\s*\d\+\|[^[:space:]{}|,"]\+\)\)\=\s*}/ contained contains=migrateBrace,migrateForget,migrateColon,migrateUnknownKind,migrateKind,migrateWildcard,migrateRange,migrateRangeEnd
syntax match migrateBrace /[{}]/ contained
syntax match migrateForget /\<_\>/ contained
syntax match migrateColon /:/ contained
syntax match migrateUnknownKind /\%(:\s*\)\@<=\h[^[:space:]{}|,"]*/ contained
syntax match migrateKind /\%(:\s*\)\@<=int\>/ contained
syntax match migrateRange /\.\./ contained
syntax match migrateRangeEnd /\%([:.]\s*\)\@<=\d\+/ contained
syntax region migrateList matchgroup=migrateBrace start=/{\ze[^{}"()[\]|]*,/ end=/}/ end=/\ze->/ contained contains=migrateListComma,migrateComment
syntax match migrateListComma /,/ contained
syntax region migrateAlternatives matchgroup=migrateBrace start=/{\ze[^{}",]*|/ end=/}/ excludenl end=/$/ contained contains=migrateAlternativesName,migrateAlternativesColon,migrateBar
syntax match migrateAlternativesName /\%({\s*\)\@<=\h\w*\ze\s*:/ contained
syntax match migrateAlternativesColon /\%({\s*\h\w*\s*\)\@<=:/ contained
syntax match migrateBar /|/ contained
syntax region migrateText matchgroup=migrateQuote start=/"/ end=/"/ excludenl end=/$/ contained contains=migrateEscape
syntax match migrateEscape /\\./ contained

" A regular expression, at the start of a key alone and only where it is closed: keys may hold `/`.
syntax region migrateRegex matchgroup=migrateQuote start=/[^[:space:],(]\@1<!\/\ze[[:space:]\/]\@!\%(\\.\|[^\/\\]\)\+\// end=/\// contained oneline contains=migrateRegexOr,migrateRegexAnchor,migrateRegexQuantifier,migrateRegexGroup,migrateRegexClass,migrateRegexEscape
syntax match migrateRegexOr /|/ contained
syntax match migrateRegexAnchor /[\^$]/ contained
syntax match migrateRegexQuantifier /\%([*+?]\|{\d\+\%(,\d*\)\=}\)?\=/ contained
syntax match migrateRegexGroup /)\|(\%(?\a*:\=\)\=/ contained
syntax match migrateRegexGroup /(?P\=</ contained nextgroup=migrateRegexName
syntax match migrateRegexName /\h\w*/ contained nextgroup=migrateRegexNameEnd
syntax match migrateRegexNameEnd />/ contained
syntax match migrateRegexClass /\[\^\=]\=\%(\\.\|[^\]\\]\)*]\|\./ contained contains=migrateRegexEscape
syntax match migrateRegexEscape /\\./ contained

" Values, arithmetic, conditions.
syntax cluster migrateExpression contains=migrateUnexpected,migrateComment,migrateText,migrateName,migrateConstant,migrateDtype,migrateTensorWord,migrateLogical,migrateFunction,migrateKeysFunction,migrateNumber,migrateComparison,migrateSign,migrateSeparator,migrateSlice,migrateParens,migrateBrackets,migrateDict
syntax match migrateName /\h\w*\%(\.\w\+\)*/ contained
execute 'syntax match migrateConstant /\<' . s:any(s:constants) . '\>\.\@!/ contained'
execute 'syntax match migrateDtype /\<' . s:any(s:dtypes) . '\>\.\@!/ contained'
syntax match migrateTensorWord /\<\%(shape\|rank\|dtype\)\>\.\@!/ contained
syntax match migrateLogical /\<\%(and\|or\|not\)\>/ contained
execute 'syntax match migrateFunction /\<' . s:any(s:functions) . '\ze(/ contained'
syntax match migrateKeysFunction /\<\%(shape\|count\)\ze(/ contained nextgroup=migrateKeyParens
syntax match migrateNumber /\%(\w\|\.\)\@1<!\d\+\%(\.\d\+\)\=\%([eE][+-]\=\d\+\)\=\>/ contained
syntax match migrateComparison /[=!<>]=\|[<>]/ contained
syntax match migrateSign /\/\/\|[*\/%+]\|->\@!/ contained
syntax match migrateSeparator /,/ contained
syntax match migrateSlice /:/ contained
syntax region migrateParens matchgroup=migrateBracket start=/(/ end=/)/ end=/\ze->/ end=/^\ze[^"#]*->/ contained contains=@migrateExpression
syntax region migrateKeyParens matchgroup=migrateBracket start=/(/ end=/)/ end=/\ze->/ end=/^\ze[^"#]*->/ contained contains=@migrateKeyPart
syntax region migrateBrackets matchgroup=migrateBracket start=/\[/ end=/]/ end=/\ze->/ end=/^\ze[^"#]*->/ contained contains=@migrateExpression
" The value of a `set`.
syntax region migrateDict matchgroup=migrateBracket start=/{\ze\s*["}]/ end=/}/ end=/\ze->/ end=/^\ze[^"#]*->/ contained contains=@migrateExpression

" A statement: a verb and its first key, or a verb and its block.
syntax match migrateUnknownVerb /^\s*\zs\%(\%(where\|except\)\>\)\@!\h\w*/ nextgroup=migrateOptional,migrateVerbBlock,migrateKey skipwhite
execute 'syntax match migrateVerb /^\s*\zs' . s:any(s:verbs) . '\>/ nextgroup=migrateOptional,migrateVerbBlock,migrateKey skipwhite'
syntax match migrateOptional /?/ contained nextgroup=migrateVerbBlock,migrateKey skipwhite
" Each line of the block is a statement without its verb.
syntax region migrateVerbBlock matchgroup=migrateBlockBrace start=/{\ze\s*\%(#.*\)\=$/ end=/^\s*}/ contained contains=migrateUnexpected,migrateComment,@migrateClause,migrateLineKey
syntax region migrateLineKey start=/^\s*\%(->\|\%(where\|except\)\%(\s\|$\)\)\@!\ze[^[:space:]#}]/ end=/[^[:space:],]\@1<=\ze[[:space:],]/ end=/\ze->/ excludenl end=/$/ contained contains=@migrateKeyPart

" Directives.
syntax match migrateDirective /^\s*\zs\%(in\|under\|unwrap\)\>/ nextgroup=migrateKey skipwhite
syntax match migrateDirective /^\s*\zsmigration\>/ nextgroup=migrateVersion skipwhite
syntax match migrateVersion /\%(->\)\@![^[:space:]"#]\%(\%(->\)\@![^[:space:]"]\)*/ contained nextgroup=migrateVersionArrow,migrateText skipwhite skipempty
syntax match migrateVersionArrow /->/ contained nextgroup=migrateVersion,migrateVersionComment skipwhite skipempty
syntax match migrateVersionComment /#.*/ contained nextgroup=migrateVersion,migrateVersionComment skipwhite skipempty contains=@Spell
syntax match migrateDirective /^\s*\zsinclude\>/ nextgroup=migrateText skipwhite
syntax match migrateDirective /^\s*\zsuse\>/ nextgroup=migrateModule skipwhite
syntax match migrateModule /\h\w*/ contained
syntax match migrateDirective /^\s*\zsoptimizer\>/ nextgroup=migrateFate skipwhite
syntax match migrateFate /\%(follow\|drop\)\>/ contained
syntax match migrateDirective /^\s*\zslet\>/ nextgroup=migrateDefinition skipwhite
syntax match migrateDefinition /\h\w*/ contained nextgroup=migrateLet skipwhite
syntax region migrateLet matchgroup=migrateAssign start=/==\@!/ end=/^/ excludenl end=/$/ contained contains=@migrateExpression

" What may follow the first key.
syntax cluster migrateClause contains=migrateComma,migrateArrow,migrateWhere,migrateExcept,migrateValue,migrateWith,migrateAssigned
syntax match migrateComma /,/ nextgroup=migrateKey,migrateAwaited skipwhite skipempty
syntax match migrateArrow /->/ nextgroup=migrateKey,migrateAwaited skipwhite skipempty
" A comment where a key is still awaited.
syntax match migrateAwaited /#.*/ contained nextgroup=migrateKey,migrateAwaited skipwhite skipempty contains=@Spell
syntax region migrateWhere matchgroup=migrateCondition start=/[^[:space:]\])}"]\@1<!where\>/ end=/\s\@1<=\zeexcept\>/ end=/^/ excludenl end=/$/ contains=@migrateExpression
syntax match migrateExcept /[^[:space:]\])}"]\@1<!except\>/ nextgroup=migrateKey skipwhite
" An option and the first operand of its value, whatever that is called; an operator and the next operand.
execute 'syntax region migrateValue matchgroup=migrateOption start=/\S\@1<!' . s:any(s:options) . '\>\s*/ end=/[[:alnum:]_\])"}]\@1<=\ze[[:space:],]/ end=/\ze->/ end=/^/ excludenl end=/$/ contains=@migrateExpression'
syntax region migrateValue matchgroup=migrateArithmetic start=/\%([+*\/%]\|->\@!\)\s*/ end=/[[:alnum:]_\])"}]\@1<=\ze[[:space:],]/ end=/\ze->/ end=/^/ excludenl end=/$/ contains=@migrateExpression
syntax region migrateValue matchgroup=migrateOption start=/\S\@1<!mode\>\s*/ end=/[[:alnum:]_\])"}]\@1<=\ze[[:space:],]/ end=/\ze->/ end=/^/ excludenl end=/$/ contains=migrateModeName,@migrateExpression
execute 'syntax match migrateModeName excludenl /' . s:any(s:modes) . '\S\@!/ contained'
syntax match migrateWith /\S\@1<!with\>/ nextgroup=migrateBinding skipwhite
syntax match migrateBinding /\h\w*\ze\s*==\@!/ contained nextgroup=migrateBound skipwhite
syntax region migrateBound matchgroup=migrateAssign start=/=\s*/ end=/[[:alnum:]_\])"}]\@1<=\ze[[:space:],]/ end=/^/ excludenl end=/$/ contained contains=@migrateExpression nextgroup=migrateBindingComma skipwhite
syntax match migrateBindingComma /,/ contained nextgroup=migrateBinding,migrateBindingComment skipwhite skipempty
syntax match migrateBindingComment /#.*/ contained nextgroup=migrateBinding,migrateBindingComment skipwhite skipempty contains=@Spell

" `compute KEY = …` and `set KEY = …`. Operators stand apart from keys, for a key may hold `-`, `/` and `*`.
syntax region migrateAssigned matchgroup=migrateAssign start=/==\@!\s*/ end=/\%([^=[:space:]]\s\+\)\@<=\ze\%(where\|except\)\>/ end=/^/ excludenl end=/$/ contains=@migrateTerms
syntax cluster migrateTerms contains=migrateTerm,migrateTermSign,migrateComment
syntax region migrateTerm start=/\ze[^[:space:],)#]/ end=/)\@1<=/ end=/\S\@1<=\ze[[:space:],)]/ excludenl end=/$/ contained contains=@migrateKeyPart,@migrateTermPart
syntax match migrateTermSign /[[:space:])]\@1<=\%([*\/+@]\|->\@!\)\ze[[:space:]("-]/ contained nextgroup=migrateTerm skipwhite
syntax cluster migrateTermPart contains=migrateTermMinus,migrateTermNumber,migrateTermConstant,migrateTermFunction,migrateTermParens,migrateBrackets,migrateDict
syntax match migrateTermMinus /[^[:space:](,=]\@1<!->\@!\s*/ contained
syntax match migrateTermNumber excludenl /\%([[:space:](,=]-\=\)\@2<=\d\+\%(\.\d\+\)\=\%([eE][+-]\=\d\+\)\=\ze\%([[:space:],)*\/]\|$\)/ contained nextgroup=migrateTermTimes
syntax match migrateTermTimes /[*\/]/ contained
syntax match migrateTermConstant excludenl /\S\@1<!\%(true\|false\|none\)\ze\s*\%(#\|$\)/ contained
execute 'syntax match migrateTermFunction /\<' . s:any(s:tensor_functions) . '\ze(/ contained'
syntax region migrateTermParens matchgroup=migrateBracket start=/(/ end=/)/ end=/\ze->/ end=/^\ze[^"#]*->/ contained contains=@migrateTerms,migrateTermComma
syntax match migrateTermComma /,/ contained nextgroup=migrateTermOption skipwhite
syntax region migrateTermOption matchgroup=migrateOption start=/\%(dims\|dim\|keep\)\ze\s\+[^[:space:],)*\/+@-]/ end=/\ze[,)]/ excludenl end=/$/ contained contains=@migrateExpression

highlight default link migrateArithmetic Operator
highlight default link migrateAlternatives String
highlight default link migrateAlternativesColon Delimiter
highlight default link migrateAlternativesName Identifier
highlight default link migrateArrow Statement
highlight default link migrateAssign Operator
highlight default link migrateAwaited Comment
highlight default link migrateBar Operator
highlight default link migrateBinding Identifier
highlight default link migrateBindingComma Delimiter
highlight default link migrateBindingComment Comment
highlight default link migrateBlockBrace Delimiter
highlight default link migrateBrace Special
highlight default link migrateBracket Delimiter
highlight default link migrateCapture Identifier
highlight default link migrateColon Delimiter
highlight default link migrateComma Delimiter
highlight default link migrateComment Comment
highlight default link migrateComparison Operator
highlight default link migrateCondition Conditional
highlight default link migrateConstant Constant
highlight default link migrateDefinition Identifier
highlight default link migrateDirective PreProc
highlight default link migrateDot Delimiter
highlight default link migrateDtype Constant
highlight default link migrateEscape SpecialChar
highlight default link migrateExcept Conditional
highlight default link migrateFate Constant
highlight default link migrateForget Identifier
highlight default link migrateFunction Function
highlight default link migrateKeysFunction Function
highlight default link migrateKind Type
highlight default link migrateList String
highlight default link migrateListComma Delimiter
highlight default link migrateLogical Operator
highlight default link migrateModeName Constant
highlight default link migrateModule Include
highlight default link migrateNumber Number
highlight default link migrateOption Type
highlight default link migrateOptional Operator
highlight default link migrateQuote String
highlight default link migrateRange Operator
highlight default link migrateRangeEnd Number
highlight default link migrateRegex String
highlight default link migrateRegexAnchor Special
highlight default link migrateRegexClass Special
highlight default link migrateRegexEscape SpecialChar
highlight default link migrateRegexGroup Delimiter
highlight default link migrateRegexName Identifier
highlight default link migrateRegexNameEnd Delimiter
highlight default link migrateRegexOr Operator
highlight default link migrateRegexQuantifier Operator
highlight default link migrateSeparator Delimiter
highlight default link migrateSign Operator
highlight default link migrateSlice Operator
highlight default link migrateTensorWord Keyword
highlight default link migrateTermComma Delimiter
highlight default link migrateTermConstant Constant
highlight default link migrateTermFunction Function
highlight default link migrateTermMinus Operator
highlight default link migrateTermNumber Number
highlight default link migrateTermSign Operator
highlight default link migrateTermTimes Operator
highlight default link migrateText String
highlight default link migrateUnexpected Error
highlight default link migrateUnknownKind Error
highlight default link migrateUnknownVerb Error
highlight default link migrateUnquoted Error
highlight default link migrateVerb Statement
highlight default link migrateVersion Type
highlight default link migrateVersionArrow migrateArrow
highlight default link migrateVersionComment Comment
highlight default link migrateWildcard Special
highlight default link migrateWith migrateOption

let &cpoptions = s:cpo
unlet s:cpo s:verbs s:directives s:options s:dtypes s:constants s:modes s:functions s:tensor_functions
delfunction s:any
let b:current_syntax = 'migrate'
