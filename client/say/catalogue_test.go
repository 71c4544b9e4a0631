package say

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// sayers are the functions that take texts for the catalogue, with which of their arguments those are. One without a package
// is a method too, of whatever has a reader's language.
var sayers = map[string][]int{
	"Text": {0}, "Sprintf": {0}, "Printf": {0}, "T": {0},
	"say.Mark": {0}, "say.Errorf": {0}, "say.New": {0}, "say.NewMessage": {0}, "say.Messagef": {0},
	"usage": {0, 1}, "guard": {1}, "c.breach": {3}, "Count": {2, 3}, "report.Count": {2, 3}, "headings": {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, "field": {0},
	"kong.Description": {0},
}

// saying is which arguments of a call are texts for the catalogue.
func saying(name string) []int {
	of, method, _ := strings.Cut(name, ".")
	if places := sayers[name]; places != nil || of == "fmt" {
		return places
	}
	return sayers[method]
}

// tables are the maps of sentences, and kinds the types of constants, that are translated where they are shown.
var (
	tables = []string{"Codes", "Meanings", "Reasons", "Rules", "Whys", "fieldWords", "sentences", "titles"}
	kinds  = []string{"Kind", "Action"}
	states = []string{"in doubt", "issued", "changing", "revoked"} // of report.stateNames
	// of batch.Statuses, as the page has them
	statuses = []string{"issued", "already issued", "updated", "unchanged", "revoked", "skipped", "invalid", "rejected", "conflict", "unknown", "not sent"}
)

// dumb are the functions whose texts are for logs, programs or those who mend this one.
var dumb = regexp.MustCompile(`^(panic|family|.*\.(Warn|Info|Debug|warn|family|MustCompile|Exec|QueryRow|QueryRowContext))$`)

var (
	sentenceLike = regexp.MustCompile(`(^|[^\pL_{])\pL*[a-z]{2,} [a-z]{2,}`)
	sql          = regexp.MustCompile(`\b(SELECT|INSERT|DELETE|FROM|WHERE|ORDER BY|AND|ALTER|PRAGMA|RETURNING|CREATE)\b`)
	script       = regexp.MustCompile(`^#(compdef| bash| fish)|^\t(local|case) `) // for shells
	nameLists    = []string{"aliases", "roleNames", "neutralNames", "billNames", "currencies", "gateways", "banks", "answers", "profileHead"}
)

// notSaid are what look like sentences and are none: flags, what a document of this project is made of, and an error that
// is told in other words.
var notSaid = []string{"--map amount=HEADER", "--set custom_data", "record too long",
	"the API does not answer; trying again", "the API answers again", "yyyy-mm-dd hh:mm:ss", "use form", "drop form", "show accounts", "the upload was cut off", "a page could not be made", "the trail is only appended to"}

// source is what stands in the program's own files.
type source struct {
	said   map[string]string // texts for the catalogue, and where each stands
	others map[string]string // texts that look like sentences and are said by nobody
}

func read(t *testing.T) source {
	t.Helper()
	s := source{make(map[string]string), make(map[string]string)}
	folders := make(map[string][]*ast.File)
	files := token.NewFileSet()
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(files, path, nil, 0)
		folders[filepath.Dir(path)] = append(folders[filepath.Dir(path)], file)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for folder, list := range folders {
		constants := make(map[string]string)
		for _, file := range list {
			ast.Inspect(file, func(n ast.Node) bool {
				if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == len(spec.Names) {
					for i, name := range spec.Names {
						if text, ok := constant(spec.Values[i], nil); ok {
							constants[name.Name] = text
						}
					}
				}
				return true
			})
		}
		for _, file := range list {
			s.file(files, file, constants, !strings.HasSuffix(folder, "client/sandbox") && !strings.HasSuffix(folder, "ledgertest"))
		}
	}
	for _, state := range slices.Concat(states, statuses) {
		s.said[state] = "report.stateNames or batch.Statuses"
	}
	templates, err := filepath.Glob("../../report/*/pages/*.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(templates, "../../report/page/page.html") {
		page, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range templated.FindAllSubmatch(page, -1) {
			if text := string(found[1]); strings.ContainsFunc(text, unicode.IsLetter) {
				s.said[text] = filepath.Base(path)
			}
		}
	}
	for text := range s.others {
		if s.said[text] != "" {
			delete(s.others, text)
		}
	}
	return s
}

// file takes what stands in one file; all of its texts are to be said, but for the sandbox's, which are the API's words.
func (s source) file(files *token.FileSet, file *ast.File, constants map[string]string, all bool) {
	say := func(e ast.Node, text string) {
		if strings.ContainsFunc(text, unicode.IsLetter) && !wordless(text) {
			s.said[text] = files.Position(e.Pos()).String()
		}
	}
	quiet := make(map[ast.Node]bool)
	ast.Inspect(file, func(n ast.Node) bool {
		if quiet[n] {
			return false
		}
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.Field:
			if n.Tag != nil {
				quiet[n.Tag] = true
				tag, _ := strconv.Unquote(n.Tag.Value)
				say(n, reflect.StructTag(tag).Get("help"))
				say(n, reflect.StructTag(tag).Get("group"))
			}
		case *ast.KeyValueExpr:
			quiet[n.Key] = true
		case *ast.FuncDecl:
			if n.Name.Name == "Help" && n.Recv != nil {
				text, _ := constant(n.Body.List[0].(*ast.ReturnStmt).Results[0], constants)
				say(n, text)
			}
		case *ast.ValueSpec:
			kind, _ := n.Type.(*ast.Ident)
			for i, value := range n.Values {
				if text, ok := constant(value, constants); ok && kind != nil && slices.Contains(kinds, kind.Name) {
					say(value, text)
				}
				if slices.Contains(nameLists, n.Names[i].Name) {
					return false
				}
				table, ok := value.(*ast.CompositeLit)
				if !ok {
					continue
				}
				for _, element := range table.Elts {
					pair, _ := element.(*ast.KeyValueExpr)
					if slices.Contains(tables, n.Names[i].Name) {
						text, _ := constant(pair.Value, constants)
						say(pair, text)
					}
				}
			}
		case *ast.CallExpr:
			name := called(n)
			for _, i := range saying(name) {
				if i < len(n.Args) {
					if text, ok := constant(n.Args[i], constants); ok {
						say(n, text)
					}
				}
			}
			if dumb.MatchString(name) {
				return false
			}
		case *ast.BasicLit:
			if text, ok := constant(n, nil); all && ok && sentenceLike.MatchString(text) && !sql.MatchString(text) {
				s.others[text] = files.Position(n.Pos()).String()
			}
		}
		return true
	})
}

// templated is a text in the page's template.
var templated = regexp.MustCompile(`\bT "([^"]*)"`)

var flag = regexp.MustCompile(`--[a-z-]+`)

// wordless reports a format that holds nothing but verbs and flags, such as --profile: %w. Two words in a row are a sentence
// all the same, whose languages set them apart in their own ways.
func wordless(text string) bool {
	return !strings.ContainsFunc(verb.ReplaceAllString(flag.ReplaceAllString(text, ""), ""), unicode.IsLetter) && text != "%s %s"
}

func called(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		if x, ok := f.X.(*ast.Ident); ok {
			return x.Name + "." + f.Sel.Name
		}
		return "." + f.Sel.Name
	}
	return ""
}

// constant is the text of a literal, of a constant of the package, or of several added up.
func constant(e ast.Expr, constants map[string]string) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil && e.Kind == token.STRING
	case *ast.Ident:
		text, ok := constants[e.Name]
		return text, ok
	case *ast.BinaryExpr:
		left, ok := constant(e.X, constants)
		right, too := constant(e.Y, constants)
		return left + right, ok && too && e.Op == token.ADD
	}
	return "", false
}

func TestCatalogue(t *testing.T) {
	s := read(t)
	if len(s.said) < 300 {
		t.Errorf("only %d texts were found", len(s.said))
	}
	for _, text := range slices.Sorted(maps.Keys(s.said)) {
		told, ok := korean()[text]
		switch {
		case !ok:
			t.Errorf("%s: there is no Korean for %q", s.said[text], text)
		case strings.TrimSpace(told) == "":
			t.Errorf("%s: the Korean for %q is empty", s.said[text], text)
		case verbs(told) != verbs(text):
			t.Errorf("%s: %q has the verbs %s, and %q has %s", s.said[text], text, verbs(text), told, verbs(told))
		case strings.HasSuffix(text, "\n") != strings.HasSuffix(told, "\n"):
			t.Errorf("%s: only one of %q and %q ends its line", s.said[text], text, told)
		}
	}
	for _, text := range slices.Sorted(maps.Keys(korean())) {
		if s.said[text] == "" {
			t.Errorf("nothing says %q", text)
		}
	}
	for _, text := range slices.Sorted(maps.Keys(s.others)) {
		if slices.Contains(notSaid, text) || script.MatchString(text) {
			continue
		}
		t.Errorf("%s: %q is said in English alone; give it to package say", s.others[text], text)
	}
}

// TestNotTheAPIsWords: the API's words are told from this program's by the pieces of them in package batch's list.
func TestNotTheAPIsWords(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../../batch/stop.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || spec.Names[0].Name != "hopeless" {
			return true
		}
		for _, entry := range spec.Values[0].(*ast.CompositeLit).Elts {
			words, ok := constant(entry.(*ast.CompositeLit).Elts[1], nil)
			if !ok || words == "" {
				t.Fatal("an entry of batch's list has its words in another place")
			}
			all = append(all, words)
		}
		return false
	})
	if len(all) < 5 {
		t.Fatalf("batch's list was not found, but %q", all)
	}
	for english, told := range korean() {
		for _, words := range all {
			if strings.Contains(told, words) || strings.Contains(english, words) {
				t.Errorf("%q: %q reads like a refusal of the API's", english, told)
			}
		}
	}
}

var verb = regexp.MustCompile(`%(?:\[(\d+)\])?([-+# 0]*\d*(?:\.\d+)?)([a-zA-Z])`)

// verbs lists what a format makes of each of its values, in their order.
func verbs(format string) string {
	made, next := make(map[int]string), 1
	for _, found := range verb.FindAllStringSubmatch(strings.ReplaceAll(format, "%%", ""), -1) {
		if found[1] != "" {
			next, _ = strconv.Atoi(found[1])
		}
		made[next] = found[3]
		next++
	}
	return fmt.Sprint(made)
}

func TestVerbs(t *testing.T) {
	for format, want := range map[string]string{"%d of %-14s, 100%%": "map[1:d 2:s]", "%[2]s의 %[1]d행": "map[1:d 2:s]", "%.1f s": "map[1:f]", "99 %": "map[]"} {
		if got := verbs(format); got != want {
			t.Errorf("%s: %s, want %s", format, got, want)
		}
	}
}
