package vitrine

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what is made from the catalogue anew: docs/failures.md, web/src/sessions/failures.ts")

// The catalogue is data, and this is the one test of everything that speaks of
// failures: the contract, the code, the page and the document say what it says.
// `go test . -run CatalogueEverywhere -update` writes what can be written.
func TestCatalogueEverywhere(t *testing.T) {
	for name, check := range map[string]func(*testing.T){
		"the contract names the same codes, phases and reasons": contractSaysTheSame,
		"every code is given by some code of ours":              everyCodeIsGiven,
		"docs/failures.md":             func(t *testing.T) { madeFile(t, "docs/failures.md", failureDocs()) },
		"web/src/sessions/failures.ts": func(t *testing.T) { madeFile(t, "web/src/sessions/failures.ts", failureTexts()) },
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), check)
	}
}

// enum reads a schema's list of words from openapi.yaml.
func enum(t *testing.T, schema string) []string {
	t.Helper()
	spec, err := os.ReadFile("api/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^    ` + schema + `:(?: \{type: string,|\n      type: string\n     ) enum: \[([^\]]+)\]`).FindSubmatch(spec)
	if m == nil {
		t.Fatalf("openapi.yaml has no %s with an enum", schema)
	}
	words := strings.FieldsFunc(string(m[1]), func(r rune) bool { return r == ',' || r == ' ' || r == '\n' })
	slices.Sort(words)
	return words
}

func contractSaysTheSame(t *testing.T) {
	codes := []string{}
	for _, info := range FailureCatalogue {
		codes = append(codes, string(info.Code))
	}
	phases := []string{}
	for _, p := range Phases {
		phases = append(phases, string(p))
	}
	for schema, want := range map[string][]string{"FailureCode": codes, "PhaseName": phases} {
		slices.Sort(want)
		if have := enum(t, schema); !slices.Equal(have, want) {
			t.Errorf("openapi.yaml's %s is\n%v\nand the domain's\n%v", schema, have, want)
		}
	}
}

// everyCodeIsGiven looks for each code in what ships: one that nothing gives is
// a promise that is not kept.
func everyCodeIsGiven(t *testing.T) {
	used := map[string]bool{}
	for _, top := range []string{"cmd", "internal"} {
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok {
					if x, ok := s.X.(*ast.Ident); ok && x.Name == "vitrine" {
						used[s.Sel.Name] = true
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	codes := declaredCodes(t)
	for _, code := range slices.Sorted(maps.Keys(codes)) {
		if !used[codes[code]] {
			t.Errorf("nothing in cmd/ or internal/ gives %s (%s)", code, codes[code])
		}
	}
}

// madeFile holds a file to what the catalogue makes of it.
func madeFile(t *testing.T, path, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != want {
		t.Errorf("%s is not what the catalogue says: go test . -run CatalogueEverywhere -update", path)
	}
}

func failureDocs() string {
	var b strings.Builder
	b.WriteString(`# Failures

What can go wrong with a session's machine: the code, the phase of the start in which it usually happens, what it means, what proves it, what cures it.
A failure also has a message with the numbers, and up to ` + strconv.Itoa(MaxEvidence) + ` lines of console or log that prove it. It is kept with the boot ledger after the machine is gone:
` + "`vitrine session show ID`, `GET /v1/sessions/{id}/boot`" + `. All else that was known at that moment is in one file, without secrets: ` + "`vitrine session bundle ID`" + `.

This page is written from the catalogue in ` + "`failure.go`" + ` (` + "`go test . -run CatalogueEverywhere -update`" + `); a test holds the catalogue, the code, the contract, the page's texts and this page in step.

| code | phase | what happened | what proves it | remedy | a retry can help | answered as |
|---|---|---|---|---|---|---|
`)
	for _, info := range FailureCatalogue {
		again := "no"
		if info.Retryable {
			again = "yes"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s | `%s` |\n", info.Code, info.Phase, info.Means, info.Evidence, info.Remedy, again, info.Class)
	}
	b.WriteString("\nThe phases of a start, in order: ")
	for i, p := range Phases {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("`" + string(p) + "`")
	}
	b.WriteString(".\nA runtime without a kernel of its own leaves `kernel` and `init` out; a terminal leaves `display` and `browser` out.\n")
	return b.String()
}

// failureTexts is the catalogue for the page. It is left out of the page's
// formatter (.prettierignore): this is its one writer.
func failureTexts() string {
	var b strings.Builder
	b.WriteString(`// Made from failure.go by ` + "`go test . -run CatalogueEverywhere -update`" + `; do not edit.
import type { Failure } from '../api/types';

/** What each failure means, and what proves it. */
export const failures: Record<Failure['code'], { means: string; proof: string }> = {
`)
	for _, info := range FailureCatalogue {
		fmt.Fprintf(&b, "  %s: { means: %q, proof: %q },\n", info.Code, info.Means, info.Evidence)
	}
	b.WriteString("};\n")
	return b.String()
}
