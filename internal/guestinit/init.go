package guestinit

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// modulesDir is where the initramfs has the kernel's modules.
const modulesDir = "/modules"

// Main brings the machine up and becomes its agent. It does not return: when it
// cannot, the machine is reset.
func Main() {
	err := run(os.Stderr)
	say(os.Stderr, "bring the machine up", err)
	reset()
}

// say prints one line to the console.
func say(console io.Writer, what string, err error) {
	fmt.Fprintf(console, "vitrine-init: %s: %v\n", what, err)
}

// run does everything in order. It returns only when something failed.
func run(console io.Writer) error {
	if err := apply(kernelMounts()); err != nil {
		return err
	}
	loadModules(modulesDir, func(what string, err error) { say(console, what, err) })
	drives, err := findDrives("/sys/class/block", "/dev", driveWait)
	if err != nil {
		return err
	}
	boot, err := readBoot(drives[driveBoot])
	if err != nil {
		return err
	}
	if err := apply(driveMounts(drives)); err != nil {
		return err
	}
	for _, dir := range overlayDirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make room on the scratch drive: %w", err)
		}
	}
	if err := apply(rootMounts()); err != nil {
		return err
	}
	if err := bindAgent(rootDir); err != nil {
		return err
	}
	// The initramfs is memory: what is no longer needed is given back.
	_ = os.RemoveAll(modulesDir)
	_ = os.Remove("/init")
	if err := enterRoot(); err != nil {
		return err
	}
	if err := settle(boot); err != nil {
		return err
	}
	agent := filepath.Join(agentproto.Dir, agentproto.AgentFile)
	err = unix.Exec(agent, []string{agentproto.AgentFile, "init", "--vm"}, environment(os.Environ()))
	return fmt.Errorf("start the agent: %w", err)
}

// environment is what the agent is started with: the kernel hands on words of
// its command line that it does not know, and of those only the switches of Go's
// and glibc's runtimes are meant for programs (a kernel that does not save AVX
// state needs them).
func environment(given []string) []string {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "TERM=linux"}
	for _, v := range given {
		if strings.HasPrefix(v, "GODEBUG=") || strings.HasPrefix(v, "GLIBC_TUNABLES=") {
			env = append(env, v)
		}
	}
	return env
}

// drainTime is how long the console may take to print the last line: a host
// that does not read it must not keep the machine.
const drainTime = time.Second

// reset ends the machine; its VMM ends with it.
func reset() {
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_ = unix.IoctlSetInt(int(os.Stderr.Fd()), unix.TCSBRK, 1) // tcdrain(3)
		unix.Sync()
	}()
	select {
	case <-drained:
	case <-time.After(drainTime):
	}
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
	select {} // the kernel panics when its init leaves
}
