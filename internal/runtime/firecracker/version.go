package firecracker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/runtime/firecracker/api"
)

// least is the first version that works: 1.16.0 loses vsock connections of a
// restored guest (its release notes of 1.16.1).
var least = version{1, 16, 1}

// versionLimit bounds a program's answer to --version: it takes 5 ms.
const versionLimit = 5 * time.Second

type version [3]int

func (v version) String() string { return fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2]) }

func (v version) before(w version) bool {
	for i := range v {
		if v[i] != w[i] {
			return v[i] < w[i]
		}
	}
	return false
}

// "Firecracker v1.16.1", "Jailer v1.17.0-dev".
var versionLine = regexp.MustCompile(`(?m)^(?:Firecracker|Jailer) v(\d{1,4})\.(\d{1,4})\.(\d{1,4})(?:[-+. ]|$)`)

func parseVersion(said string) (v version, ok bool) {
	m := versionLine.FindStringSubmatch(said)
	if m == nil {
		return v, false
	}
	for i := range v {
		v[i], _ = strconv.Atoi(m[i+1]) // digits, few
	}
	return v, true
}

// versions remembers what programs said by what stat says of them: asking costs
// more than the rest of a start's preparations.
type versions struct {
	mu   sync.Mutex
	seen map[fileID]version
}

type fileID struct {
	dev, ino    uint64
	size, mtime int64
}

// check says whether the two programs are of one release and new enough.
func (v *versions) check(ctx context.Context, program, jailer string) (version, error) {
	fc, err := v.of(ctx, program)
	if err != nil {
		return fc, err
	}
	if fc.before(least) {
		return fc, missing("%s is Firecracker %s; the least that works is %s", program, fc, least)
	}
	j, err := v.of(ctx, jailer)
	if err != nil {
		return fc, err
	}
	if j != fc {
		return fc, missing("%s is of release %s and %s of %s; the two must be of one release", jailer, j, program, fc)
	}
	return fc, nil
}

func missing(format string, args ...any) error {
	return vitrine.NewFailure(vitrine.FailRuntimeMissing, nil, format, args...).AsError().WithRemedy(remedy)
}

func (v *versions) of(ctx context.Context, path string) (version, error) {
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		return version{}, missing("%s: %s", path, err)
	}
	id := fileID{st.Dev, st.Ino, st.Size, st.Mtim.Nano()}
	v.mu.Lock()
	known, ok := v.seen[id]
	v.mu.Unlock()
	if ok {
		return known, nil
	}
	said, err := ask(ctx, path)
	if err != nil {
		return version{}, missing("%s does not say its version: %s", path, err)
	}
	found, ok := parseVersion(said)
	if !ok {
		return version{}, missing("%s does not say its version but %q", path, api.Printable(said, 80))
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.seen == nil {
		v.seen = map[fileID]version{}
	}
	v.seen[id] = found
	return found, nil
}

// ask runs a program with --version and gives the first kilobyte it says.
func ask(ctx context.Context, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, versionLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	var said bounded
	cmd.Stdout, cmd.WaitDelay = &said, time.Second
	err := cmd.Run()
	if ctx.Err() != nil {
		return "", errors.New("no answer in " + versionLimit.String())
	}
	return string(said), err
}

// bounded keeps the first kilobyte that is written to it.
type bounded []byte

func (b *bounded) Write(p []byte) (int, error) {
	*b = append(*b, p[:min(len(p), 1024-len(*b))]...)
	return len(p), nil
}
