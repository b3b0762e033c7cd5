package agent

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// openPTY gives both ends of a new terminal, the first of which can be read with
// a deadline. user becomes the owner of the second, as login(1) makes it.
func openPTY(uid int, cols, rows uint16) (master, slave *os.File, err error) {
	master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open a terminal: %w", err)
	}
	defer func() {
		if err != nil {
			_ = master.Close()
		}
	}()
	var number int
	err = onFD(master, func(fd int) (err error) {
		if err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
			return err
		}
		number, err = unix.IoctlGetInt(fd, unix.TIOCGPTN)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("unlock the terminal: %w", err)
	}
	if err = resizePTY(master, cols, rows); err != nil {
		return nil, nil, err
	}
	name := "/dev/pts/" + strconv.Itoa(number)
	if slave, err = os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		return nil, nil, fmt.Errorf("open the terminal's other end: %w", err)
	}
	if uid != os.Getuid() {
		_ = slave.Chown(uid, -1) // some kernels refuse; the descriptor is open all the same
	}
	return master, slave, nil
}

// resizePTY sets the size in characters; the kernel tells the foreground
// programs by SIGWINCH.
func resizePTY(master *os.File, cols, rows uint16) error {
	err := onFD(master, func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: cols, Row: rows})
	})
	if err != nil {
		return fmt.Errorf("set the terminal's size: %w", err)
	}
	return nil
}

// foreground is the process group that the terminal's keys reach, 0 for none.
func foreground(master *os.File) int {
	group := 0
	_ = onFD(master, func(fd int) (err error) {
		group, err = unix.IoctlGetInt(fd, unix.TIOCGPGRP)
		return err
	})
	return group
}

// onFD calls f with the descriptor and leaves it non-blocking, which File.Fd
// would not: deadlines and Close would then no longer end a read.
func onFD(file *os.File, f func(fd int) error) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	if e := raw.Control(func(fd uintptr) { err = f(int(fd)) }); e != nil {
		return e
	}
	return err
}
