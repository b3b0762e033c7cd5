package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine"
)

// Cgroups says in which version each controller is to be had.
type Cgroups struct{ Controllers map[string]string }

// ReadCgroups looks at the mounted trees.
func ReadCgroups() Cgroups {
	c := Cgroups{Controllers: map[string]string{}}
	if b, err := os.ReadFile("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		for _, name := range strings.Fields(string(b)) {
			c.Controllers[name] = "v2"
		}
	}
	for _, name := range limits {
		if _, err := os.Stat(filepath.Join("/sys/fs/cgroup", name, "cgroup.procs")); err == nil {
			c.Controllers[name] = "v1"
		}
	}
	return c
}

// limits are the controllers by which machines are held to their bounds.
var limits = []string{"memory", "cpu", "pids"}

// Judge wants all three, in either version.
func (c Cgroups) Judge() vitrine.Finding {
	var found, missing []string
	for _, name := range limits {
		if v := c.Controllers[name]; v != "" {
			found = append(found, name+" "+v)
		} else {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fail("cgroups", "boot with cgroup_enable=memory, or `mount -t cgroup2 none /sys/fs/cgroup`", "no controller for %s", strings.Join(missing, ", "))
	}
	return pass("cgroups", "%s", strings.Join(found, ", "))
}

// Memory is in MiB.
type Memory struct {
	Total, Available int
	Reserve          int // never lent: VITRINE_HOST_RESERVE_MB
	Desktop          int // what one desktop is lent: BROWSER_VM_MEMORY_MB
	Held             int // what live sessions hold; 0 where no daemon could be asked
}

// ReadMemory reads /proc/meminfo.
func ReadMemory(reserve, desktop, held int) Memory {
	m := Memory{Reserve: reserve, Desktop: desktop, Held: held}
	b, _ := os.ReadFile("/proc/meminfo")
	m.Total, m.Available = meminfo(string(b), "MemTotal"), meminfo(string(b), "MemAvailable")
	return m
}

func meminfo(text, field string) int {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			kb, _ := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")))
			return kb >> 10
		}
	}
	return 0
}

// Judge wants headroom for one desktop, in what may be lent and in what is free.
func (m Memory) Judge() vitrine.Finding {
	const check = "memory"
	lent := max(m.Total-m.Reserve, 0)
	seen := fmt.Sprintf("%d MB in all, %d MB available, %d MB lent to sessions of %d MB; a desktop is lent %d MB", m.Total, m.Available, m.Held, lent, m.Desktop)
	switch {
	case lent < m.Desktop:
		return fail(check, fmt.Sprintf("set BROWSER_VM_MEMORY_MB to at most %d, or VITRINE_HOST_RESERVE_MB lower", lent), "%s", seen)
	case m.Held+m.Desktop > lent:
		return warn(check, "end a session: `vitrine session list`, `vitrine session rm ID`", "no room for another desktop: %s", seen)
	case m.Available < m.Desktop:
		return warn(check, "end something that uses memory, or set BROWSER_VM_MEMORY_MB lower", "%s", seen)
	}
	return pass(check, "%s", seen)
}

// Disk is one directory's disk. Sizes are in MiB; a watermark of 0 is none.
type Disk struct {
	Name, Dir  string
	Free, All  int
	Err        string
	Low, Stop  int // creates are refused below Low, running sessions end below Stop
	FreeInodes int // of files; -1: the file system does not count them
	Need       int // what the next thing that is put there takes; 0: nothing known
	Remedy     string
}

// ReadDisk looks at the disk that holds a directory, which need not be there.
func ReadDisk(name, dir string, low, stop int, remedy string) Disk {
	d := Disk{Name: name, Dir: dir, Low: low, Stop: stop, Remedy: remedy, FreeInodes: -1}
	var st unix.Statfs_t
	if err := unix.Statfs(existing(dir), &st); err != nil {
		d.Err = err.Error()
		return d
	}
	d.Free, d.All = int(st.Bavail*uint64(st.Bsize)>>20), int(st.Blocks*uint64(st.Bsize)>>20)
	if st.Files > 0 {
		d.FreeInodes = int(st.Ffree)
	}
	return d
}

// leastInodes is what a few desktops' profiles take: under it, creating files
// fails though there is room.
const leastInodes = 20000

// Judge warns from twice the low watermark on: there is time to act then.
func (d Disk) Judge() vitrine.Finding {
	seen := fmt.Sprintf("%s: %d of %d MB free", d.Dir, d.Free, d.All)
	switch {
	case d.Err != "":
		return fail(d.Name, "set another directory", "%s: %s", d.Dir, d.Err)
	case d.Free < d.Stop:
		return fail(d.Name, d.Remedy, "%s, under VITRINE_DISK_STOP_MB=%d: running sessions are ended, the greatest writer first", seen, d.Stop)
	case d.Free < d.Low:
		return fail(d.Name, d.Remedy, "%s, under VITRINE_DISK_LOW_MB=%d: no session is started", seen, d.Low)
	case d.FreeInodes >= 0 && d.FreeInodes < leastInodes:
		return warn(d.Name, d.Remedy, "%s, but only %d files more can be made", seen, d.FreeInodes)
	case d.Free < d.Need:
		return warn(d.Name, d.Remedy, "%s; an image and its build take about %d MB", seen, d.Need)
	case d.Free < 2*d.Low:
		return warn(d.Name, d.Remedy, "%s; under %d MB no session is started", seen, d.Low)
	}
	return pass(d.Name, "%s", seen)
}
