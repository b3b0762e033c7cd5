package vitrine

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/vitrine-dev/vitrine"

// exceptions are the sibling imports that are allowed, with the reason. A
// package stands for all below it. Nothing else under internal/ may import a
// sibling: whoever needs another part gets it through the domain's interfaces,
// from cmd/.
var exceptions = []struct{ from, to, reason string }{
	{"agent", "agentproto", "the protocol's guest side"},
	{"agentclient", "agentproto", "the protocol's host side"},
	{"guestinit", "agentproto", "the boot drive's guest side"},
	{"runtime/runtimetest", "agentproto", "the suite of the runtimes talks to a real agent in each machine"},
	{"runtime/vm", "agentproto", "a virtual machine's boot drive and the call that ends it"},
	{"runtime/firecracker", "agentproto", "a machine restored from a snapshot is told who it is now, by its agent"},
	{"runtime/qemu", "agentproto", "the framing of a connection over a virtio-serial port"},
	{"session", "diagnose", "pure functions over domain types; the judgement of a start is the session's business"},
	{"session", "host/leftover", "a pure function over domain types; what belongs to no session is the session's business"},
}

// TestArchitecture reads every Go file and holds its imports to
// docs/architecture.md. It parses files rather than asking `go list`, whose
// answer the test cache would not notice to have changed.
func TestArchitecture(t *testing.T) {
	files := 0
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if p != "." && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "node_modules" || name == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Errorf("%s: %v", p, err)
			return nil
		}
		files++
		checkFile(t, filepath.ToSlash(p), file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 30 {
		t.Errorf("only %d files were found: the test looks in the wrong place", files)
	}
}

func checkFile(t *testing.T, file string, f *ast.File) {
	t.Helper()
	for _, spec := range f.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if why := refused(file, imported); why != "" {
			t.Errorf("%s imports %s: %s", file, imported, why)
		}
	}
	for _, decl := range f.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" && !strings.HasSuffix(file, "_test.go") {
			t.Errorf("%s has an init function: nothing registers itself; implementations stand in an explicit list in cmd/", file)
		}
	}
}

// refused says why a file may not import a path, "" when it may.
func refused(file, imported string) string {
	dir := path.Dir(file)
	test := strings.HasSuffix(file, "_test.go")
	own := imported == module || strings.HasPrefix(imported, module+"/")
	inside := strings.TrimPrefix(imported, module+"/")
	top, _, _ := strings.Cut(dir, "/")

	switch {
	case own && strings.HasPrefix(inside, "cmd/") && top != "cmd":
		return "cmd/ wires and is imported by nobody"
	case dir == ".":
		if first, _, _ := strings.Cut(imported, "/"); strings.Contains(first, ".") {
			return "the domain imports the standard library only, so that any package may import it without drawing in a driver"
		}
	case (under(dir, "internal/agent") || under(dir, "internal/guestinit")) && imported == module:
		return "what runs in a machine is built without the domain: what it knows of Vitrine is agentproto"
	case under(dir, "internal/agentproto") && !test && strings.Contains(strings.Split(imported, "/")[0], "."):
		return "the protocol is the standard library's and both sides'"
	case own && strings.HasPrefix(inside, "internal/") && top == "internal":
		// A test may use another part, such as a real store, where a fake would
		// prove less; what ships may not.
		if test || part(dir) == part(inside) || excepted(dir, inside) {
			return ""
		}
		return "a package under internal/ never imports a sibling: take it through an interface of the domain, wired in cmd/ (exceptions stand in arch_test.go with their reason)"
	case own && strings.HasPrefix(inside, "internal/") && top == "client" && !test:
		return "the client is for others to import: it may not need what is internal"
	}
	return ""
}

// part is the second level: internal/runtime/gvisor and internal/runtime/oci
// are both of the part "runtime" and may share.
func part(dir string) string {
	_, rest, _ := strings.Cut(dir, "/")
	first, _, _ := strings.Cut(rest, "/")
	return first
}

func under(dir, parent string) bool { return dir == parent || strings.HasPrefix(dir, parent+"/") }

func excepted(from, to string) bool {
	for _, e := range exceptions {
		if under(from, "internal/"+e.from) && under(to, "internal/"+e.to) {
			return true
		}
	}
	return false
}

// The rule itself is tested: one that lets everything through looks like a
// clean tree.
func TestTheRuleRefuses(t *testing.T) {
	for _, c := range []struct {
		file, imported string
		allowed        bool
	}{
		{"session.go", "time", true},
		{"session.go", "github.com/jackc/pgx/v5", false},
		{"session.go", module + "/internal/store", false},
		{"internal/store/store.go", module, true},
		{"internal/store/store.go", "modernc.org/sqlite", true},
		{"internal/store/store.go", module + "/internal/session", false},
		{"internal/session/boot.go", module + "/internal/diagnose", true},
		{"internal/session/boot.go", module + "/internal/store", false},
		{"internal/session/boot_test.go", module + "/internal/store", true},
		{"internal/diagnose/diagnose.go", module + "/internal/session", false},
		{"internal/agent/exec.go", module, false},
		{"internal/agent/codec/vp8.go", module, false},
		{"internal/agent/exec.go", module + "/internal/agentproto", true},
		{"internal/guestinit/init.go", module, false},
		{"internal/guestinit/init.go", module + "/internal/agentproto", true},
		{"internal/guestinit/init.go", module + "/internal/agent", false},
		{"internal/agentclient/client.go", module + "/internal/agentproto", true},
		{"internal/agentclient/client.go", module, true},
		{"internal/agentproto/frame.go", module, false},
		{"internal/runtime/gvisor/gvisor.go", module + "/internal/runtime/oci", true},
		{"internal/runtime/gvisor/gvisor.go", module + "/internal/network", false},
		{"internal/httpapi/api.go", module + "/cmd/vitrine", false},
		{"cmd/vitrine/serve.go", module + "/internal/store", true},
		{"client/client.go", module + "/internal/httpapi", false},
	} {
		if got := refused(c.file, c.imported) == ""; got != c.allowed {
			t.Errorf("%s imports %s: allowed %v, want %v", c.file, c.imported, got, c.allowed)
		}
	}
}
