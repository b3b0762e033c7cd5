package image

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// Stage is what a build is at.
type Stage string

// The stages of a build, in order. StageWaiting comes only when another build
// holds the store; StageReady alone when nothing had to be built, after
// StageDisk alone when only the disk had to be made.
const (
	StageWaiting     Stage = "waiting"
	StagePreparing   Stage = "preparing"
	StageRetrieving  Stage = "retrieving"
	StageUnpacking   Stage = "unpacking"
	StageConfiguring Stage = "configuring"
	StageFinishing   Stage = "finishing"
	StageHashing     Stage = "hashing"
	StageDisk        Stage = "disk"
	StageReady       Stage = "ready"
)

// Progress is how far a build is. Percent is of the whole build, 0..100, and
// never falls; Detail is one line for a person, such as a package's name.
type Progress struct {
	Stage   Stage
	Percent float64
	Detail  string
}

// The shares of a build's time, measured on the desktop: mmdebstrap first
// installs the essential set, then the rest inside it. Percent of the whole.
const (
	endPreparing = 2.0
	endEssential = 12.0
	endRemaining = 86.0
	endFinishing = 90.0
	endHashing   = 92.0
	endDisk      = 99.0
)

// byBytes gives a function that reports bytes done of bytes there are as
// percent between low and high, no oftener than every half a percent. It may be
// called from several goroutines.
func byBytes(report func(Progress), stage Stage, low, high float64) func(done, total int64) {
	var mu sync.Mutex
	last := low
	return func(done, total int64) {
		percent := low + (high-low)*float64(done)/float64(max(total, 1))
		mu.Lock()
		defer mu.Unlock()
		if percent >= last+0.5 {
			last = percent
			report(Progress{stage, percent, fmt.Sprintf("%d of %d MiB", done>>20, total>>20)})
		}
	}
}

// bootstrapParser turns mmdebstrap's verbose output into Progress.
type bootstrapParser struct {
	report func(Progress)
	now    Progress
	low    float64 // the band of the current phase
	high   float64
	total  int // packages of the current phase
	got    int
	unpack int
	setup  int
}

var (
	newlyForm = regexp.MustCompile(`^\d+ upgraded, (\d+) newly installed`)
	getForm   = regexp.MustCompile(`^Get:\d+ \S+ \S+ \S+ (\S+) \S+ (\S+) \[`)
	doneForm  = regexp.MustCompile(`^(Unpacking|Setting up) (\S+)`)
)

// line takes one line of output.
func (p *bootstrapParser) line(text string) {
	if phase, ok := strings.CutPrefix(text, "I: "); ok {
		p.phase(phase)
		return
	}
	if m := newlyForm.FindStringSubmatch(text); m != nil {
		p.total, _ = strconv.Atoi(m[1])
		p.got, p.unpack, p.setup = 0, 0, 0
	} else if m := getForm.FindStringSubmatch(text); m != nil {
		p.got++
		p.step(StageRetrieving, m[1])
	} else if m := doneForm.FindStringSubmatch(text); m != nil && m[1] == "Unpacking" {
		p.unpack++
		p.step(StageUnpacking, m[2])
	} else if m != nil {
		p.setup++
		p.step(StageConfiguring, m[2])
	}
}

func (p *bootstrapParser) phase(phase string) {
	switch {
	case strings.HasPrefix(phase, "running apt-get update"):
		p.say(StagePreparing, 0, "package lists")
	case strings.HasPrefix(phase, "downloading packages"):
		p.low, p.high = endPreparing, endEssential
	case strings.HasPrefix(phase, "installing remaining packages"):
		p.low, p.high = endEssential, endRemaining
	case strings.HasPrefix(phase, "running --"), strings.HasPrefix(phase, "running special hook"):
		p.say(StageFinishing, endRemaining, "the recipe's own files and hooks")
	case strings.HasPrefix(phase, "cleaning package lists"):
		p.say(StageFinishing, endFinishing, "caches")
	}
}

// step places a package's progress within the phase: a tenth for fetching, six
// tenths for unpacking, three for configuring.
func (p *bootstrapParser) step(stage Stage, detail string) {
	if p.total == 0 {
		return
	}
	part := func(n int) float64 { return min(1, float64(n)/float64(p.total)) }
	share := 0.1*part(p.got) + 0.6*part(p.unpack) + 0.3*part(p.setup)
	p.say(stage, p.low+share*(p.high-p.low), detail)
}

func (p *bootstrapParser) say(stage Stage, percent float64, detail string) {
	p.now = Progress{stage, max(p.now.Percent, min(percent, 100)), detail}
	p.report(p.now)
}

// fetched parses a "Get:" line of a package: for the variant whose tree has no
// package database of its own.
func fetched(text string) (name, version string, ok bool) {
	m := getForm.FindStringSubmatch(text)
	if m == nil {
		return "", "", false
	}
	return m[1], m[2], true
}
