package flight

import (
	"bytes"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/vitrine-dev/vitrine"
)

// What a summary shows of a console.
const (
	summaryLines = 40
	summaryWidth = 400
)

// about says what each file is, for whoever opens a bundle for the first time.
var about = map[string]string{
	"failure.json":         "the code, what proves it, what cures it",
	"session.json":         "what was asked for, and what it got",
	"ledger.json":          "every phase of the start, timed",
	"agent.json":           "the last word of the agent in the machine: memory, network, programs",
	"machine.json":         "the last word of the runtime",
	"host.json":            "the host at that moment: memory, load, pressure, disk",
	"daemon.json":          "the daemon's version and settings",
	"console.log":          "the end of what the machine printed, as it was printed",
	"logs/cgroup.txt":      "what the kernel counted for the machine: memory, CPU, processes",
	"logs/exit.json":       "how the machine ended, as its supervisor saw it",
	"logs/machine.json":    "which process the machine was",
	"logs/runtime.log":     "what the OCI runtime or the VMM logged",
	"logs/supervisor.json": "which process its supervisor was",
	"screenshot.png":       "the desktop, at the end; what it shows was NOT redacted",
}

// summary is the file to read first. console is redacted already.
func summary(r vitrine.FlightRecord, console []byte, files []file, missing []string, d Daemon, hide redactor) []byte {
	var b bytes.Buffer
	s := r.Session
	fmt.Fprintf(&b, "Session %s (%s, %s) failed at %s.\n\n", s.ID, s.Kind, s.Runtime, s.EndedAt.UTC().Format(time.RFC3339))
	if f := s.Failure; f != nil {
		fmt.Fprintf(&b, "%s in %s: %s\nremedy: %s\n", f.Code, f.Phase, f.Message, f.Remedy)
		if info, ok := vitrine.FailureInfoOf(f.Code); ok {
			fmt.Fprintf(&b, "means: %s; proved by %s\n", info.Means, info.Evidence)
		}
		for _, line := range hide.lines(f.Evidence) { // before they are cut, or a half might stay
			fmt.Fprintf(&b, "  | %s\n", shorten(line, summaryWidth))
		}
	}
	fmt.Fprintf(&b, "\nBoot ledger\n")
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, p := range r.Ledger.Phases {
		fmt.Fprintf(tw, "  %s\t%s\t%d ms\t%s\n", p.Name, p.Outcome, p.Duration.Milliseconds(), shorten(hide.string(p.Detail), summaryWidth))
	}
	_ = tw.Flush()
	fmt.Fprintf(&b, "\nMade by vitrine %s. Secrets were taken out: %s stands where one was.\n\nFiles\n", d.Version, Redacted)
	for _, f := range files[1:] {
		what := about[f.name]
		if what == "" {
			what = "of the host's own programs"
		}
		fmt.Fprintf(tw, "  %s\t%d bytes\t%s\n", f.name, len(f.data), what)
	}
	_ = tw.Flush()
	if len(missing) > 0 {
		fmt.Fprintf(&b, "\nNot to be had\n")
		for _, line := range missing {
			fmt.Fprintf(&b, "  %s\n", shorten(hide.string(line), summaryWidth))
		}
	}
	text := hide.text(b.Bytes())
	lines := clean(console, summaryLines, summaryWidth)
	var end bytes.Buffer
	fmt.Fprintf(&end, "\nThe last %d lines of the console\n", len(lines))
	for _, line := range lines {
		fmt.Fprintf(&end, "  | %s\n", line)
	}
	return append(text[:min(len(text), maxSummary):min(len(text), maxSummary)], end.Bytes()...)
}
