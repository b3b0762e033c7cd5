package api

import (
	"time"

	"github.com/vitrine-dev/vitrine"
)

// Collection is what belongs to no live session on the host, and what a garbage
// collection did about it, or would do.
type Collection struct {
	Leftovers []Leftover `json:"leftovers"`
	Blind     []string   `json:"blind"` // what could not be looked at
	DryRun    bool       `json:"dry_run"`
	Removed   int        `json:"removed"`
	Failed    int        `json:"failed"`
}

// Leftover is what one deed removes. Deed is null when nothing is done, and Keep
// then says why.
type Leftover struct {
	Things  []Thing `json:"things"`
	Machine *string `json:"machine"`
	Session *string `json:"session_id"`
	Why     string  `json:"why"`
	Deed    *string `json:"deed"`
	Keep    string  `json:"keep"`
	Done    bool    `json:"done"`
	Error   string  `json:"error"`
}

// Thing is one thing on the host or in the store, by the name a person would use.
type Thing struct {
	Kind   vitrine.ThingKind `json:"kind"`
	Name   string            `json:"name"`
	Detail string            `json:"detail"`
	Since  *time.Time        `json:"since"` // null: it cannot be told
}

// Collect asks for a garbage collection. Budget is how many deeds it may do at
// most; 0 takes the daemon's default.
type Collect struct {
	DryRun bool `json:"dry_run,omitempty"`
	Budget int  `json:"budget,omitempty"`
}

// MaxBudget bounds Collect.Budget.
const MaxBudget = 1000

// Doctor is the report on the host.
type Doctor struct {
	At       time.Time         `json:"at"`
	Verdict  vitrine.Verdict   `json:"verdict"` // the worst of all
	Findings []vitrine.Finding `json:"findings"`
}

// NewCollection shows a collection.
func NewCollection(c vitrine.Collection) Collection {
	out := Collection{Leftovers: make([]Leftover, 0, len(c.Leftovers)), Blind: append([]string{}, c.Blind...), DryRun: c.DryRun}
	for _, l := range c.Leftovers {
		one := Leftover{Things: make([]Thing, 0, len(l.Things)), Why: l.Why, Keep: l.Keep, Done: l.Done, Error: l.Err}
		one.Machine, one.Session, one.Deed = orNull(l.Machine), orNull(l.Session), orNull(string(l.Deed))
		for _, t := range l.Things {
			shown := Thing{Kind: t.Kind, Name: t.Name, Detail: t.Detail}
			if !t.Since.IsZero() {
				at := t.Since.UTC()
				shown.Since = &at
			}
			one.Things = append(one.Things, shown)
		}
		if l.Done {
			out.Removed++
		}
		if l.Err != "" {
			out.Failed++
		}
		out.Leftovers = append(out.Leftovers, one)
	}
	return out
}

// NewDoctor shows doctor's findings; its verdict is the worst of theirs.
func NewDoctor(at time.Time, findings []vitrine.Finding) Doctor {
	d := Doctor{At: at.UTC(), Verdict: vitrine.VerdictPass, Findings: append([]vitrine.Finding{}, findings...)}
	for _, f := range findings {
		if f.Result == vitrine.VerdictFail || f.Result == vitrine.VerdictWarn && d.Verdict == vitrine.VerdictPass {
			d.Verdict = f.Result
		}
	}
	return d
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
