// Package doctor judges whether a host is fit for machines.
//
// Each check is two halves: a reader, which gathers facts and gives no opinion,
// and a Judge, a pure function from those facts to one finding with its remedy,
// which a table test holds to every case. What needs another part of Vitrine (a
// runtime's probe, the image store, the sweep) is asked in cmd and shown beside
// these.
//
// Readers change nothing that stays: taking a port for a moment and sending one
// STUN question to an address of our own is the most they do. Remedies are
// commands or settings, and name the setting as it is written.
package doctor

import (
	"fmt"

	"github.com/vitrine-dev/vitrine"
)

func pass(check, format string, args ...any) vitrine.Finding {
	return vitrine.Finding{Check: check, Result: vitrine.VerdictPass, Detail: fmt.Sprintf(format, args...)}
}

func warn(check, remedy, format string, args ...any) vitrine.Finding {
	return vitrine.Finding{Check: check, Result: vitrine.VerdictWarn, Detail: fmt.Sprintf(format, args...), Remedy: remedy}
}

func fail(check, remedy, format string, args ...any) vitrine.Finding {
	return vitrine.Finding{Check: check, Result: vitrine.VerdictFail, Detail: fmt.Sprintf(format, args...), Remedy: remedy}
}

// Worst is the verdict of a whole report.
func Worst(findings []vitrine.Finding) vitrine.Verdict {
	worst := vitrine.VerdictPass
	for _, f := range findings {
		if f.Result == vitrine.VerdictFail {
			return f.Result
		}
		if f.Result == vitrine.VerdictWarn {
			worst = f.Result
		}
	}
	return worst
}
