package vm

import (
	"context"
	"fmt"
	"io"
	"os"
)

// modes of the initramfs's files, as in stat(2).
const (
	modeDir  = 0o040755
	modeFile = 0o100755
)

// initramfs gives the archive that the kernel unpacks: the modules of its image,
// when it has any, then our init. The kernel unpacks archives that follow each
// other as one.
func (k *Kit) initramfs(ctx context.Context, modules string) (string, error) {
	parts := []string{k.cfg.InitPath}
	if modules != "" {
		parts = append(parts, modules)
	}
	key, err := k.sums.of(parts...)
	if err != nil {
		return "", fmt.Errorf("making the initramfs: %w", err)
	}
	return k.cached(ctx, "initramfs-"+key+".cpio", func(tmp string) error {
		f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := composeInitramfs(f, modules, k.cfg.InitPath); err != nil {
			return fmt.Errorf("making the initramfs: %w", err)
		}
		return f.Close()
	})
}

func composeInitramfs(w io.Writer, modules, init string) error {
	c := &counter{w: w}
	if modules != "" {
		f, err := os.Open(modules)
		if err != nil {
			return err
		}
		defer f.Close()
		if _, err := io.Copy(c, f); err != nil {
			return err
		}
		if err := c.pad(cpioAlign); err != nil {
			return err
		}
	}
	program, err := os.ReadFile(init)
	if err != nil {
		return err
	}
	return writeCPIO(c, []cpioFile{
		{Name: "dev", Mode: modeDir}, {Name: "proc", Mode: modeDir}, {Name: "sys", Mode: modeDir},
		{Name: "init", Mode: modeFile, Data: program},
	})
}
