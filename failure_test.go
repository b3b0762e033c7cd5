package vitrine

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

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
		if info.Means == "" || info.Evidence == "" || info.Remedy == "" || info.Class == "" || !slices.Contains(Phases, info.Phase) {
			t.Errorf("%s: the row is not whole: %+v", info.Code, info)
		}
		if strings.ToLower(string(info.Code)) != string(info.Code) || strings.ContainsAny(info.Means+info.Evidence+info.Remedy, "\n|") {
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
