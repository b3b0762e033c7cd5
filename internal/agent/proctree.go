package agent

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
	"time"
)

// process is one line of the process table: what descent is told by.
type process struct{ pid, parent, session int }

// processes reads the process table that is in sight.
func processes() []process {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil
	}
	var all []process
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + name + "/stat")
		if err != nil {
			continue // it ended meanwhile
		}
		if p, ok := parseStat(pid, stat); ok {
			all = append(all, p)
		}
	}
	return all
}

// parseStat reads parent and session out of /proc/pid/stat (proc_pid_stat(5)).
// The name is in parentheses and may hold anything, so count from the last one.
func parseStat(pid int, stat []byte) (process, bool) {
	end := bytes.LastIndexByte(stat, ')')
	if end < 0 {
		return process{}, false
	}
	fields := bytes.Fields(stat[end+1:])
	if len(fields) < 4 || fields[0][0] == 'Z' {
		return process{}, false
	}
	parent, err1 := strconv.Atoi(string(fields[1]))
	session, err2 := strconv.Atoi(string(fields[3]))
	return process{pid: pid, parent: parent, session: session}, err1 == nil && err2 == nil
}

// descendants gives the pids of all living processes under root.
func descendants(root int) []int {
	return family(processes(), func(p process) bool { return p.parent == root })
}

// family gives the pids of those that seed picks, and of all under them.
func family(all []process, seed func(process) bool) []int {
	in := make(map[int]bool)
	var pids []int
	for grown := true; grown; {
		grown = false
		for _, p := range all {
			if !in[p.pid] && (seed(p) || in[p.parent]) {
				in[p.pid], grown = true, true
				pids = append(pids, p.pid)
			}
		}
	}
	return pids
}

// killRounds bounds how often a tree is looked over again: a tree that forks
// faster than it is killed loses its processes round by round, because those
// that are gone cannot fork.
const killRounds = 20

// killTree kills everything in the session that leader leads, everything under
// those, and every process that carries mark in its environment (what left both
// session and parent). It returns when none is left.
func killTree(leader int, mark string) {
	self := os.Getpid()
	for range killRounds {
		pids := family(processes(), func(p process) bool {
			return p.session == leader || carries(p.pid, mark)
		})
		killed := false
		for _, pid := range pids {
			if pid > 1 && pid != self && syscall.Kill(pid, syscall.SIGKILL) == nil {
				killed = true
			}
		}
		if !killed {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// carries says whether a process was started with mark in its environment.
func carries(pid int, mark string) bool {
	env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return false
	}
	for v := range bytes.SplitSeq(env, []byte{0}) {
		if string(v) == mark {
			return true
		}
	}
	return false
}
