package vm

import (
	"fmt"
	"io"
)

// cpioAlign is what each archive is padded to: the kernel looks for the next one
// at multiples of 4; a block of 512 is what other tools write.
const cpioAlign = 512

// cpioFile is one file of an archive; Name has no leading slash.
type cpioFile struct {
	Name string
	Mode uint32 // type and permissions, as in stat
	Data []byte
}

// writeCPIO writes a "newc" archive (kernel documentation,
// driver-api/early-userspace/buffer-format): for each file a head of 110 bytes in
// ASCII, the name, the data, each padded to 4 bytes. Times and owners are zero,
// so the same files are the same bytes.
func writeCPIO(w io.Writer, files []cpioFile) error {
	c := &counter{w: w}
	for i, f := range append(files[:len(files):len(files)], cpioFile{Name: "TRAILER!!!"}) {
		ino := i + 1
		_, err := fmt.Fprintf(c, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
			ino, f.Mode, 0, 0, 1, 0, len(f.Data), 0, 0, 0, 0, len(f.Name)+1, 0, f.Name)
		if err == nil {
			err = c.pad(4)
		}
		if err == nil {
			_, err = c.Write(f.Data)
		}
		if err == nil {
			err = c.pad(4)
		}
		if err != nil {
			return err
		}
	}
	return c.pad(cpioAlign)
}

// counter counts what it writes.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

func (c *counter) pad(to int64) error {
	_, err := c.Write(make([]byte, (to-c.n%to)%to))
	return err
}
