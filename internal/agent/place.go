package agent

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// place is where things are in this machine, and who its user is.
type place struct {
	dir     string // agent.sock, config.json; root's
	home    string // the user's home
	runtime string // XDG_RUNTIME_DIR: the user's sockets
	user    string
	shell   string
	uid     int
	gid     int
	// machine says that the agent has the machine to itself; false in the
	// process runtime, where the rest of the host is in sight.
	machine bool
}

// newPlace finds the places of a config and makes the directories.
func newPlace(c agentproto.Config) (place, error) {
	p := place{
		dir: c.Dir, uid: c.UID, gid: c.GID, user: "user", shell: "/bin/sh",
		machine: c.Dir == agentproto.Dir,
	}
	if err := os.MkdirAll(p.dir, 0o711); err != nil {
		return p, fmt.Errorf("make the agent's directory: %w", err)
	}
	// Searchable, so that the user's programs find what is theirs by name; the
	// secret and the socket have modes of their own.
	if err := os.Chmod(p.dir, 0o711); err != nil && !errors.Is(err, syscall.EROFS) {
		return p, fmt.Errorf("set the mode of the agent's directory: %w", err)
	}
	if p.machine {
		p.home, p.runtime = "/home/user", fmt.Sprintf("/run/user/%d", p.uid)
		p.fromPasswd("/etc/passwd")
	} else {
		p.home, p.runtime = filepath.Join(p.dir, "home"), filepath.Join(p.dir, "user")
	}
	if err := p.own(p.home); err != nil {
		return p, err
	}
	return p, p.own(p.runtime)
}

// own makes a directory that is the user's alone.
func (p place) own(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("make the directory above %s: %w", dir, err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("make the user's directory: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("look at the user's directory: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("the user's directory %s is not a directory", dir)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) == p.uid {
		return nil
	}
	if err := os.Lchown(dir, p.uid, p.gid); err != nil {
		return fmt.Errorf("give the user its directory: %w", err)
	}
	return nil
}

// fromPasswd takes name, home and shell of the user from the image.
func (p *place) fromPasswd(path string) {
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close()
	lines := bufio.NewScanner(io.LimitReader(f, 1<<20))
	for lines.Scan() {
		fields := strings.Split(lines.Text(), ":")
		if len(fields) != 7 || fields[2] != strconv.Itoa(p.uid) {
			continue
		}
		p.user = fields[0]
		if strings.HasPrefix(fields[5], "/") {
			p.home = filepath.Clean(fields[5])
		}
		if strings.HasPrefix(fields[6], "/") {
			p.shell = fields[6]
		}
		return
	}
}

// credential is what a program of the user is started with; nil when the agent
// itself runs as that user.
func (p place) credential() *syscall.Credential {
	if os.Getuid() == p.uid {
		return nil
	}
	return &syscall.Credential{Uid: uint32(p.uid), Gid: uint32(p.gid)}
}

// searchPath is PATH for every program; the agent's own is not trusted to be set.
const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// userEnv is the environment of the user's programs.
func (p place) userEnv() []string {
	return append(switches(),
		"HOME="+p.home, "USER="+p.user, "LOGNAME="+p.user, "SHELL="+p.shell,
		"PATH="+searchPath, "LANG=C.UTF-8", "XDG_RUNTIME_DIR="+p.runtime,
	)
}

// rootEnv is the environment of what runs as the machine's root.
func rootEnv() []string {
	return append(switches(), "HOME=/root", "USER=root", "LOGNAME=root", "SHELL=/bin/sh", "PATH="+searchPath, "LANG=C.UTF-8")
}

// switches are what of the agent's own environment every program gets: how Go's
// and glibc's runtimes use the processor. A virtual machine whose kernel does
// not save AVX state has them from its kernel's command line.
func switches() []string {
	var env []string
	for _, name := range []string{"GODEBUG", "GLIBC_TUNABLES"} {
		if v := os.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}
