package guestinit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

func readBoot(device string) (agentproto.Boot, error) {
	f, err := os.Open(device)
	if err != nil {
		return agentproto.Boot{}, fmt.Errorf("open the boot drive: %w", err)
	}
	defer f.Close()
	return agentproto.DecodeBoot(f)
}

// settle makes the root, which it is called in, this machine's: links in /dev,
// the boot drive's files, its name, and the loopback device.
func settle(boot agentproto.Boot) error {
	for link, to := range devLinks {
		_ = os.Remove(link)
		if err := os.Symlink(to, link); err != nil {
			return fmt.Errorf("make %s: %w", link, err)
		}
	}
	for _, f := range boot.Files {
		if err := place(f); err != nil {
			return fmt.Errorf("write the boot drive's %s: %w", f.Path, err)
		}
	}
	if boot.Hostname != "" {
		if err := unix.Sethostname([]byte(boot.Hostname)); err != nil {
			return fmt.Errorf("set the hostname: %w", err)
		}
	}
	if err := loopbackUp(); err != nil {
		return fmt.Errorf("bring the loopback device up: %w", err)
	}
	return nil
}

// place writes a file anew: what was there, such as a link of the image's or of
// the machine's earlier life, is not followed.
func place(f agentproto.BootFile) error {
	if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
		return err
	}
	if err := os.Remove(f.Path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	file, err := os.OpenFile(f.Path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, os.FileMode(f.Mode))
	if err != nil {
		return err
	}
	_, err = file.Write(f.Data)
	return errors.Join(err, file.Chmod(os.FileMode(f.Mode)), file.Close())
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, req); err != nil {
		return err
	}
	req.SetUint16(req.Uint16() | unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req)
}
