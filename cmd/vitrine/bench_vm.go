package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/client"
)

// vmImage is the terminal image that virtual machines are measured with: what
// they cost beside any other machine does not depend on what runs in them.
const vmImage = "tiny"

// measureVMs times terminals in the runtimes whose machines have a kernel of
// their own: what Vitrine does until the guest's first instruction, what the guest
// takes from there to its agent's first answer, and what one costs in memory.
func (b *bench) measureVMs(ctx context.Context) ([]figure, error) {
	var all []figure
	for _, rt := range b.runtimes {
		if !b.kernels[rt] {
			continue
		}
		var made, hello, ends []float64
		beyond := 0.0
		for i := range b.starts + 1 {
			b.say.step(fmt.Sprintf("%s: terminal %d of %d", rt, i, b.starts), i*100/(b.starts+1))
			s, boot, err := b.terminal(ctx, rt)
			if err != nil {
				return all, err
			}
			if i == b.starts {
				beyond = beyondGuest(b.daemon.Dir)
			}
			began := time.Now()
			if err := b.end(ctx, s.ID); err != nil {
				return all, err
			}
			if i == 0 {
				continue // it read kernel and image from the disk
			}
			ends = append(ends, float64(time.Since(began).Milliseconds()))
			m, h := untilMachine(s, boot)
			made, hello = append(made, m), append(hello, h)
		}
		one := newFigure("create → guest's first instruction (terminal)", rt, "ms", "p50 ≤ 60", made)
		budget := "≤ 700 on hardware KVM"
		if b.emulated[rt] {
			budget = "none: the processor is emulated"
		}
		all = append(all, one, newFigure("guest's first instruction → agent (terminal)", rt, "ms", budget, hello),
			newFigure("delete → nothing left (terminal)", rt, "ms", "≤ 300", ends),
			newFigure("memory of a VM beyond the guest's", rt, "MB", "≤ 10", []float64{beyond}))
		n := together
		if b.emulated[rt] {
			n = 3 // each takes a core for itself
		}
		many, err := b.terminals(ctx, rt, n)
		if err != nil {
			return all, err
		}
		f := newFigure(fmt.Sprintf("create → guest's first instruction, %d at once", n), rt, "ms", "≤ 2 × one", many)
		f.Name += fmt.Sprintf(" (%.1f × one)", f.P50/max(one.P50, 1))
		all = append(all, f)
	}
	return all, nil
}

// terminal makes one and waits for it.
func (b *bench) terminal(ctx context.Context, rt string) (s client.Session, boot client.Boot, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	s, err = b.api.CreateSession(ctx, client.CreateSession{Kind: vitrine.KindTerminal, Image: vmImage, Runtime: rt}, client.CreateOptions{Wait: true})
	if err != nil {
		return s, boot, err
	}
	boot, err = b.api.Boot(ctx, s.ID)
	return s, boot, err
}

// terminals makes n at once, gives what each took until its guest ran, and ends
// them.
func (b *bench) terminals(ctx context.Context, rt string, n int) ([]float64, error) {
	b.say.step(fmt.Sprintf("%s: %d terminals at once", rt, n), -1)
	var wg sync.WaitGroup
	took, errs, ids := make([]float64, n), make([]error, n), make([]string, n)
	for i := range n {
		wg.Go(func() {
			s, boot, err := b.terminal(ctx, rt)
			ids[i], errs[i] = s.ID, err
			took[i], _ = untilMachine(s, boot)
		})
	}
	wg.Wait()
	for i, id := range ids {
		if errs[i] != nil {
			return nil, errs[i]
		}
		if err := b.end(ctx, id); err != nil {
			return nil, err
		}
	}
	return took, nil
}

// untilMachine gives, in milliseconds, how long it took from the call until the
// machine ran, and from there until its agent answered.
func untilMachine(s client.Session, boot client.Boot) (made, hello float64) {
	for _, p := range boot.Phases {
		switch p.Name {
		case vitrine.PhaseMachine:
			made = float64(p.StartedAt.Sub(s.CreatedAt).Microseconds())/1000 + p.DurationMS
		case vitrine.PhaseAgent:
			hello = p.DurationMS
		}
	}
	return made, hello
}

// beyondGuest is what the VMM and the supervisor of the one machine of a daemon
// keep to themselves, in MiB: their private memory but for mappings as large as a
// guest's memory.
func beyondGuest(dataDir string) float64 {
	kb := int64(0)
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range procs {
		line, _ := os.ReadFile(filepath.Join(p, "cmdline"))
		group, _ := os.ReadFile(filepath.Join(p, "cgroup"))
		supervisor := strings.Contains(string(line), dataDir+"/machines/") && strings.Contains(string(line), "shim")
		if supervisor || strings.Contains(string(group), "vitrine-"+benchBridge+"/mch_") {
			kb += privateKB(p)
		}
	}
	return float64(kb) / 1024
}

// guestMapping is the least size of a guest's memory, in KiB: no other mapping of
// a VMM that is touched is as large.
const guestMapping = 64 << 10

// privateKB sums the private pages of a process's small mappings (smaps of
// proc(5)).
func privateKB(proc string) (sum int64) {
	text, err := os.ReadFile(filepath.Join(proc, "smaps"))
	if err != nil {
		return 0
	}
	size := int64(0)
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		n, _ := strconv.ParseInt(f[1], 10, 64)
		switch f[0] {
		case "Size:":
			size = n
		case "Private_Clean:", "Private_Dirty:":
			if size < guestMapping {
				sum += n
			}
		}
	}
	return sum
}
