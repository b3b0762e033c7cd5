package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// figure is one measured line: its samples, and what they are of.
type figure struct {
	Name    string  `json:"name"`
	Runtime string  `json:"runtime,omitempty"`
	Unit    string  `json:"unit"`
	N       int     `json:"n"`
	P50     float64 `json:"p50"`
	P95     float64 `json:"p95"`
	P99     float64 `json:"p99"`
	Min     float64 `json:"min"`
	Max     float64 `json:"max"`
	Budget  string  `json:"budget,omitempty"`
}

// newFigure sums samples up. One sample makes a figure whose percentiles are it.
func newFigure(name, runtime, unit, budget string, samples []float64) figure {
	f := figure{Name: name, Runtime: runtime, Unit: unit, N: len(samples), Budget: budget}
	if len(samples) == 0 {
		return f
	}
	s := slices.Clone(samples)
	slices.Sort(s)
	f.Min, f.Max = s[0], s[len(s)-1]
	f.P50, f.P95, f.P99 = percentile(s, 50), percentile(s, 95), percentile(s, 99)
	return f
}

// percentile is the nearest-rank percentile of sorted samples.
func percentile(sorted []float64, p int) float64 {
	rank := (p*len(sorted) + 99) / 100
	return sorted[max(rank, 1)-1]
}

func printFigures(w io.Writer, figures []figure) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "FIGURE\tRUNTIME\tN\tP50\tP95\tUNIT\tBUDGET (idle two-core host)")
	for _, f := range figures {
		rt, budget := f.Runtime, f.Budget
		if rt == "" {
			rt = "-"
		}
		if budget == "" {
			budget = "-"
		}
		fmt.Fprintf(tw, "%s\t%s\t%d\t%s\t%s\t%s\t%s\n", f.Name, rt, f.N, short(f.P50), short(f.P95), f.Unit, budget)
	}
	return tw.Flush()
}

func short(v float64) string {
	switch {
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 1:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 4, 64)
}

// cpuSeconds is the CPU time that the processes matched have used, by /proc.
// match gets the process's pid, the name of its program's file, and its cgroups.
func cpuSeconds(match func(pid int, program, cgroup string) bool) (float64, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, err
	}
	const ticks = 100 // USER_HZ, fixed in the kernel's ABI (proc(5))
	var total float64
	for _, dir := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		program, err1 := os.Readlink(filepath.Join(dir, "exe"))
		cgroup, err2 := os.ReadFile(filepath.Join(dir, "cgroup"))
		stat, err3 := os.ReadFile(filepath.Join(dir, "stat"))
		if err1 != nil || err2 != nil || err3 != nil {
			continue // it left meanwhile
		}
		if !match(pid, filepath.Base(program), string(cgroup)) {
			continue
		}
		// The name in parentheses may hold spaces: fields count from the last one.
		_, rest, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')'):]), " ")
		f := strings.Fields(rest)
		if len(f) < 13 {
			continue
		}
		user, _ := strconv.ParseFloat(f[11], 64)
		system, _ := strconv.ParseFloat(f[12], 64)
		total += (user + system) / ticks
	}
	return total, nil
}

// rssMB is a process's resident memory in MiB (VmRSS of /proc/PID/status).
func rssMB(pid int) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, _ := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(v), "kB")), 64)
			return kb / 1024
		}
	}
	return 0
}
