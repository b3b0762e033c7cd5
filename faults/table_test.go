package faults

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// row is the outcome of one fault on one runtime.
type row struct {
	fault   string
	runtime string
	code    vitrine.FailureCode
	skipped string // why it could not be made here
	named   bool
	cured   bool
	clean   bool // audit, host and API too
	left    int
	api     time.Duration // the longest answer of GET /v1/sessions meanwhile
}

var (
	tableMu sync.Mutex
	table   []row
)

func record(r row) {
	tableMu.Lock()
	defer tableMu.Unlock()
	table = append(table, r)
}

// printTable prints what README.md shows.
func printTable(w io.Writer) {
	tableMu.Lock()
	defer tableMu.Unlock()
	if len(table) == 0 {
		return
	}
	yes := func(b bool) string {
		if b {
			return "yes"
		}
		return "NO"
	}
	tab := tabwriter.NewWriter(w, 0, 8, 1, ' ', 0)
	fmt.Fprintln(tab, "| fault\t| runtime\t| code\t| named right\t| cured by its remedy\t| leftovers\t| API's longest answer\t|")
	fmt.Fprintln(tab, "|---\t|---\t|---\t|---\t|---\t|---\t|---\t|")
	tried, named, cured, left := 0, 0, 0, 0
	var slow time.Duration
	for _, r := range table {
		if r.skipped != "" {
			fmt.Fprintf(tab, "| %s\t| %s\t| `%s`\t| not tried: %s\t|\t|\t|\t|\n", r.fault, r.runtime, r.code, r.skipped)
			continue
		}
		tried++
		if r.named {
			named++
		}
		if r.cured {
			cured++
		}
		left += r.left
		slow = max(slow, r.api)
		leftovers := fmt.Sprint(r.left)
		if !r.clean && r.left == 0 {
			leftovers = "?" // it failed before, or elsewhere
		}
		fmt.Fprintf(tab, "| %s\t| %s\t| `%s`\t| %s\t| %s\t| %s\t| %d ms\t|\n", r.fault, r.runtime, r.code, yes(r.named), yes(r.cured), leftovers, r.api.Milliseconds())
	}
	_ = tab.Flush()
	fmt.Fprintf(w, "\n%d faults tried, %d named right, %d cured by their remedy, %d leftovers; GET /v1/sessions answered within %d ms all the while.\n",
		tried, named, cured, left, slow.Milliseconds())
}

// programs that runtimes need, and how to get them.
var needed = map[string][]string{
	container: {"crun"}, gvisor: {"runsc"}, qemu: {"qemu-system-x86_64", "mke2fs"},
}

// needs skips where a runtime's program is not installed.
func needs(t *testing.T, rt string, r *row) {
	t.Helper()
	for _, p := range append([]string{"ip", "nft", "nsenter"}, needed[rt]...) {
		if p == "runsc" {
			if _, err := os.Stat(imageStore() + "/../bin/runsc"); err == nil {
				continue
			}
		}
		if _, err := exec.LookPath(p); err != nil {
			r.skipped = "needs " + p
			t.Skip("needs " + p)
		}
	}
}
