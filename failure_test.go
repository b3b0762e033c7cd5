package vitrine

import (
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/failures.md anew from the catalogue")

// declaredCodes reads the FailureCode constants from the source, so that one
// cannot be added and left out of the catalogue.
func declaredCodes(t *testing.T) map[FailureCode]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "failure.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	codes := map[FailureCode]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); !ok || typ.Name != "FailureCode" {
			return true
		}
		if lit, ok := spec.Values[0].(*ast.BasicLit); ok {
			s, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			codes[FailureCode(s)] = spec.Names[0].Name
		}
		return true
	})
	return codes
}

func TestCatalogueIsWhole(t *testing.T) {
	codes := declaredCodes(t)
	if len(codes) < 20 {
		t.Fatalf("only %d codes were found in failure.go", len(codes))
	}
	seen := map[FailureCode]bool{}
	for _, info := range FailureCatalogue {
		if seen[info.Code] {
			t.Errorf("%s stands twice in the catalogue", info.Code)
		}
		seen[info.Code] = true
		if codes[info.Code] == "" {
			t.Errorf("%s is in the catalogue and is no constant", info.Code)
		}
		if info.Means == "" || info.Remedy == "" || info.Class == "" || !slices.Contains(Phases, info.Phase) {
			t.Errorf("%s: the row is not whole: %+v", info.Code, info)
		}
		if strings.ToLower(string(info.Code)) != string(info.Code) || strings.ContainsAny(info.Means+info.Remedy, "\n|") {
			t.Errorf("%s: cannot be shown in a table", info.Code)
		}
	}
	for code, name := range codes {
		if !seen[code] {
			t.Errorf("%s (%s) is not in the catalogue", name, code)
		}
	}
}

func TestNewFailure(t *testing.T) {
	var lines []string
	for i := range 50 {
		lines = append(lines, fmt.Sprint(i))
	}
	for _, info := range FailureCatalogue {
		f := NewFailure(info.Code, lines, "%d MiB", 256)
		if f.Phase != info.Phase || f.Remedy != info.Remedy || f.Retryable != info.Retryable || f.Message != "256 MiB" {
			t.Errorf("%s: %+v", info.Code, f)
		}
		if len(f.Evidence) != MaxEvidence || f.Evidence[MaxEvidence-1] != "49" {
			t.Errorf("%s: %d lines of evidence, the last %q; want the last %d", info.Code, len(f.Evidence), f.Evidence[len(f.Evidence)-1], MaxEvidence)
		}
		e := f.AsError()
		if e.Class != info.Class || e.Code != string(info.Code) || e.Failure != f || ClassOf(fmt.Errorf("x: %w", e)) != info.Class {
			t.Errorf("%s as an error: %+v", info.Code, e)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a code that is not in the catalogue was taken")
		}
	}()
	_ = NewFailure("lunch", nil, "x")
}

func TestErrorsTellTheirCause(t *testing.T) {
	cause := errors.New("disk")
	e := Errorf(ClassConflict, "c", "m %d", 1).WithRemedy("r %d", 2).WithCause(cause)
	if !errors.Is(e, cause) || e.Remedy != "r 2" || e.Error() != "c: m 1: disk" || ClassOf(e) != ClassConflict || ClassOf(cause) != ClassInternal {
		t.Errorf("%v, %+v", e, e)
	}
}

// The page and the catalogue say the same: `go test . -run Docs -update` writes it.
func TestFailureDocs(t *testing.T) {
	const path = "docs/failures.md"
	var b strings.Builder
	b.WriteString(`# Failures

What can go wrong with a session's machine: the code, the phase of the start in which it usually happens, what it means, what cures it.
A failure also has a message with the numbers, and up to ` + strconv.Itoa(MaxEvidence) + ` lines of console or log that prove it. It is kept with the boot ledger after the machine is gone:
` + "`vitrine session show ID`, `GET /v1/sessions/{id}/boot`" + `.

This page is written from the catalogue in ` + "`failure.go`" + ` (` + "`go test . -run FailureDocs -update`" + `); a test holds the two in step.

| code | phase | what happened | remedy | a retry can help | answered as |
|---|---|---|---|---|---|
`)
	for _, info := range FailureCatalogue {
		again := "no"
		if info.Retryable {
			again = "yes"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | `%s` |\n", info.Code, info.Phase, info.Means, info.Remedy, again, info.Class)
	}
	b.WriteString("\nThe phases of a start, in order: ")
	for i, p := range Phases {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("`" + string(p) + "`")
	}
	b.WriteString(".\nA runtime without a kernel of its own leaves `kernel` and `init` out; a terminal leaves `display` and `browser` out.\n")
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != b.String() {
		t.Errorf("%s is not what the catalogue says; go test . -run FailureDocs -update", path)
	}
}
