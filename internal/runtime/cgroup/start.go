package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Start runs fork, which must start exactly one process with the given
// attributes, so that the process is born in the group: it never runs an
// instruction outside its limits, and a fork that is killed half way leaves
// nothing outside. before, when not nil, runs on the forking thread first (to
// enter a namespace, for one).
//
// v2 has clone3's CLONE_INTO_CGROUP for this. v1 has not, but lets one thread
// be moved, and a child belongs where its forking thread does: so a thread of
// its own is moved, forks, and is thrown away.
func (g *Group) Start(before func() error, fork func(*syscall.SysProcAttr) error) error {
	done := make(chan error, 1)
	go onOwnThread(func() { done <- g.startHere(before, fork) })
	return <-done
}

func (g *Group) startHere(before func() error, fork func(*syscall.SysProcAttr) error) error {
	attr := &syscall.SysProcAttr{}
	tid := strconv.Itoa(unix.Gettid())
	for _, t := range g.host.trees {
		if t.v2 {
			f, err := os.Open(g.in(t))
			if err != nil {
				return fmt.Errorf("opening the cgroup: %w", err)
			}
			defer f.Close()
			attr.UseCgroupFD, attr.CgroupFD = true, int(f.Fd())
			continue
		}
		if err := os.WriteFile(filepath.Join(g.in(t), "tasks"), []byte(tid), 0); err != nil {
			return fmt.Errorf("entering the cgroup: %w", err)
		}
	}
	if before != nil {
		if err := before(); err != nil {
			return err
		}
	}
	return fork(attr)
}

// onOwnThread runs f on a thread that ends with it, never on the process's main
// thread, which cannot end: if the scheduler gave us that one, it is held until
// f has run on another.
func onOwnThread(f func()) {
	runtime.LockOSThread()
	if unix.Gettid() != unix.Getpid() {
		f()
		return // still locked: the runtime ends the thread
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		f()
	}()
	<-done
	runtime.UnlockOSThread()
}
