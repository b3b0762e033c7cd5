package image

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vitrine-dev/vitrine"
	"golang.org/x/sys/unix"
)

// zstdLevel makes 515 MB of a desktop's 1461 MiB in 5 s of two processors. Level
// 1 takes as long, 9 three times that for 484 MB, and 15, which mksquashfs takes
// unasked, half a minute of each for every 10 MB less.
const zstdLevel = "3"

// mksquashfs is a run of the program that makes squashfs files. It reads the
// tree from us as a tar stream, in the order and with the attributes of
// files.jsonl: what the host adds to files (a security label, a time of
// reading) and how its directories are ordered cannot get into the disk, and
// each file is held to its digest on its way.
type mksquashfs struct {
	recipe Recipe
	out    string // the file to make
	root   string
	list   []entry
}

// makeDisk writes disk.squashfs and disk.json into the directory to, from the
// image of that digest in the directory dir. report gets the bytes read so far
// and the bytes there are.
func makeDisk(ctx context.Context, dir, digest, to string, r Recipe, report func(done, total int64)) error {
	_, list, err := readFileList(dir, digest)
	if err != nil {
		return corrupt(digest[len(digestPrefix):], err)
	}
	m := mksquashfs{recipe: r, out: filepath.Join(to, diskName), root: filepath.Join(dir, rootName), list: list}
	if err := m.run(ctx, report); err != nil {
		return err
	}
	if err := os.Chmod(m.out, 0o644); err != nil { // VMMs that are not root read it
		return fmt.Errorf("write the disk: %w", err)
	}
	sum, size, err := hashFile(ctx, m.out)
	if err != nil {
		return fmt.Errorf("read the disk that was made: %w", err)
	}
	text, err := json.MarshalIndent(DiskInfo{
		Image: digest, Digest: digestPrefix + sum, SizeBytes: size,
		Compression: m.compression(), MadeAt: time.Now().UTC(),
	}, "", "  ")
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(to, diskInfoName), append(text, '\n')); err != nil {
		return fmt.Errorf("write what the disk is: %w", err)
	}
	return nil
}

func (m *mksquashfs) compression() string {
	if m.recipe.DiskCompression == "" {
		return compressZstd
	}
	return m.recipe.DiskCompression
}

// args are mksquashfs's. Nothing in them is of this host or this moment. Whether
// a file equals another is decided by a race up to 4.7.5 (squashfs-tools issue
// 362; seen here once in ten disks), so it is not asked, which costs a
// five-hundredth of the size. That the ends of files are packed together, which
// 4.5 does with a tar stream unasked, is said.
func (m *mksquashfs) args() []string {
	top := m.list[0] // tar mode does not take the root from the stream
	args := []string{
		"-", m.out, "-tar", "-noappend", "-quiet", "-no-progress", "-no-exports", "-reproducible",
		"-no-duplicates", "-always-use-fragments",
		"-root-mode", strconv.FormatUint(uint64(top.Mode), 8),
		"-root-uid", strconv.FormatUint(uint64(top.UID), 10),
		"-root-gid", strconv.FormatUint(uint64(top.GID), 10),
	}
	if m.compression() == compressNone {
		// gzip is named in the superblock and never used: every kernel with
		// squashfs has it.
		return append(args, "-comp", "gzip", "-noI", "-noD", "-noF", "-noX")
	}
	return append(args, "-comp", "zstd", "-Xcompression-level", zstdLevel)
}

// run runs mksquashfs to its end. Killing us kills it.
func (m *mksquashfs) run(ctx context.Context, report func(done, total int64)) error {
	if len(m.list) == 0 || m.list[0].Path != "." {
		return fmt.Errorf("the list of the image's files does not begin with its root")
	}
	fed, stop := context.WithCancel(ctx)
	defer stop()
	cmd := exec.CommandContext(fed, "mksquashfs", m.args()...)
	// The epoch is the file system's time and bounds all others: the root's own,
	// too, which 4.5 takes from the clock whatever -root-time says.
	cmd.Env = []string{
		"PATH=" + buildPath, "LC_ALL=C.UTF-8",
		fmt.Sprintf("SOURCE_DATE_EPOCH=%d", m.recipe.SourceDateEpoch),
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	cmd.WaitDelay = 5 * time.Second
	var said tailWriter
	cmd.Stdout, cmd.Stderr = &said, &said
	in, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("start mksquashfs: %w", err)
	}
	// Pdeathsig is about the thread that forked, so that thread must stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start mksquashfs: %w", err)
	}
	ended := make(chan error, 1)
	go func() {
		err := m.feed(fed, in, report)
		if err != nil {
			stop() // half a stream must not look like a whole one
		}
		in.Close()
		ended <- err
	}()
	runErr := cmd.Wait()
	feedErr := <-ended
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case feedErr != nil && !errors.Is(feedErr, unix.EPIPE) && !errors.Is(feedErr, os.ErrClosed):
		return feedErr
	case runErr != nil || feedErr != nil:
		return m.explain(errors.Join(runErr, feedErr), said.String())
	}
	return nil
}

// feed writes the tree as a tar stream and holds each file to its digest.
func (m *mksquashfs) feed(ctx context.Context, w io.Writer, report func(done, total int64)) error {
	var done, total int64
	for _, e := range m.list {
		total += e.Size
	}
	out := tar.NewWriter(w)
	names := map[uint64]entry{} // by inode: the first name of a file with several
	for _, e := range m.list[1:] {
		h, err := tarHeader(e)
		if err != nil {
			return err
		}
		if e.Type == typeFile {
			err = m.feedFile(ctx, out, h, e, names)
		} else {
			err = out.WriteHeader(h)
		}
		if err != nil {
			return fmt.Errorf("give %s to mksquashfs: %w", e.Path, err)
		}
		done += e.Size
		report(done, total)
	}
	if err := out.Close(); err != nil {
		return fmt.Errorf("give the image to mksquashfs: %w", err)
	}
	return nil
}

// tarHeader says in a tar stream what files.jsonl says of a path.
func tarHeader(e entry) (*tar.Header, error) {
	h := &tar.Header{
		Typeflag: tar.TypeReg, Name: e.Path, Mode: int64(e.Mode), Uid: int(e.UID), Gid: int(e.GID), Size: e.Size,
		ModTime: time.Unix(e.ModTime, 0), Linkname: e.Target,
		// 4.5 takes the leading slash off a link's target in the PAX form.
		Format: tar.FormatGNU,
	}
	switch e.Type {
	case typeDir:
		h.Typeflag = tar.TypeDir
		h.Name += "/"
	case typeLink:
		h.Typeflag = tar.TypeSymlink
	}
	if e.Capability != "" {
		raw, err := hex.DecodeString(e.Capability)
		if err != nil {
			return nil, fmt.Errorf("read the capabilities of %s: %w", e.Path, err)
		}
		h.Format = tar.FormatPAX
		h.PAXRecords = map[string]string{"SCHILY.xattr." + capabilityAttr: string(raw)}
	}
	return h, nil
}

// feedFile writes one regular file. A second name of a file stays one: Mesa's
// drivers are a file of 25 MB with thirteen.
func (m *mksquashfs) feedFile(ctx context.Context, out *tar.Writer, h *tar.Header, e entry, names map[uint64]entry) error {
	f, err := os.OpenFile(filepath.Join(m.root, e.Path), os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	first, again := names[st.Ino]
	if again && first.SHA256 == e.SHA256 {
		return out.WriteHeader(&tar.Header{Typeflag: tar.TypeLink, Name: e.Path, Linkname: first.Path, Format: tar.FormatGNU})
	}
	if st.Nlink > 1 && !again {
		names[st.Ino] = e
	}
	if err := out.WriteHeader(h); err != nil {
		return err
	}
	buf := hashBuffers.Get().(*[]byte)
	defer hashBuffers.Put(buf)
	sum := sha256.New()
	n, err := io.CopyBuffer(onlyWriter{io.MultiWriter(out, sum)}, untilDone{ctx, io.LimitReader(f, e.Size)}, *buf)
	if err != nil {
		return err
	}
	if found := hex.EncodeToString(sum.Sum(nil)); n != e.Size || found != e.SHA256 {
		return fmt.Errorf("the image changed meanwhile: expected %d bytes, %s, found %d bytes, %s", e.Size, e.SHA256, n, found)
	}
	return nil
}

// explain turns a failed mksquashfs into one error with a remedy.
func (m *mksquashfs) explain(err error, said string) error {
	cause := fmt.Errorf("mksquashfs: %w; its last lines:\n%s", err, said)
	if strings.Contains(said, "No space left on device") {
		return diskFull(filepath.Dir(m.out), m.recipe.Name, int64(m.recipe.BuildSpaceMB)).WithCause(cause)
	}
	return vitrine.Errorf(vitrine.ClassFailed, "image_build_failed", "mksquashfs could not make the disk of image %s (%v)", m.recipe.Name, err).
		WithRemedy("the lines above say what failed; `vitrine image build %s` starts afresh", m.recipe.Name).WithCause(cause)
}

// onlyWriter hides ReadFrom, which would ignore the buffer.
type onlyWriter struct{ io.Writer }

// tailWriter keeps the end of what is written to it.
type tailWriter struct{ kept []byte }

func (t *tailWriter) Write(p []byte) (int, error) {
	const most = 4096
	t.kept = append(t.kept, p...)
	if len(t.kept) > most {
		t.kept = t.kept[len(t.kept)-most:]
	}
	return len(p), nil
}

func (t *tailWriter) String() string { return strings.TrimSpace(string(t.kept)) }
