package shim

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Plan is what the supervisor is to do for one machine. The runtime writes it
// to plan.json; every path in it is absolute.
type Plan struct {
	MachineID    string `json:"machine_id"`
	CgroupParent string `json:"cgroup_parent"`

	// Stage is a directory of the host on which the supervisor mounts, in its
	// own mount namespace, a tmpfs in which everything is put together: bundle/,
	// rootfs/, share/, etc/, agent, state/.
	Stage string `json:"stage"`
	// Unmount is not there for Command (crun and hybrid cgroups).
	Unmount []string `json:"unmount,omitempty"`
	// Pressure is a file that is shown in the stage as memory.pressure: the
	// machine's own PSI, which may lie in what is unmounted.
	Pressure string `json:"pressure,omitempty"`

	// Root says how rootfs/ is made of Lower.
	Root  RootKind `json:"root"`
	Lower string   `json:"lower,omitempty"`
	// Places are mounted on in the machine: files of /etc and directories.
	Places []string `json:"places,omitempty"`
	// HostID is the host uid and gid of the machine's root; with RootOverlay
	// the lower's ids 0..65535 appear as HostID….
	HostID int `json:"host_id"`
	// DiskBytes is the size of the machine's writable disk.
	DiskBytes int64 `json:"disk_bytes,omitempty"`
	// TmpfsBytes is its size where there are no loop devices.
	TmpfsBytes int64 `json:"tmpfs_bytes,omitempty"`

	// ShareBytes is the size of the tmpfs that is share/, the machine's
	// /run/vitrine; 0 binds the directory share of the machine's directory.
	ShareBytes int64  `json:"share_bytes"`
	AgentPath  string `json:"agent_path"`
	// Etc are files for etc/, by name.
	Etc map[string]string `json:"etc,omitempty"`

	// Bundle is the OCI config for bundle/config.json.
	Bundle json.RawMessage `json:"bundle,omitempty"`
	// Command is started in the machine's cgroup. With PIDFile it must detach
	// the machine, write its pid there and exit 0; without, it is the machine.
	Command []string `json:"command"`
	PIDFile string   `json:"pid_file,omitempty"`
	// StopCommand asks the machine to end; empty sends SIGTERM to it.
	StopCommand []string `json:"stop_command,omitempty"`
	// OwnPIDs gives Command a pid and mount namespace of its own.
	OwnPIDs bool `json:"own_pids,omitempty"`
	// NetNS is entered before Command is started.
	NetNS string `json:"netns,omitempty"`
	// Dir is where Command is started: in the stage, or "" for the root. What it
	// binds sockets to must fit a sockaddr_un, which a relative path does.
	Dir string `json:"dir,omitempty"`
	// VMM says that Command is a virtual machine's monitor: the stage then holds
	// share/ only, empty and root's. What the guest gets it gets by its drives.
	VMM bool `json:"vmm,omitempty"`
	// Jail is the root of a VMM that a jailer starts; the stage then holds it only.
	Jail *Jail `json:"jail,omitempty"`
}

// RootKind says how the machine's root file system is made.
type RootKind string

// The kinds of root.
const (
	RootNone     RootKind = ""         // the host's
	RootOverlay  RootKind = "overlay"  // id-mapped lower, a disk of its own above it
	RootReadOnly RootKind = "readonly" // the lower, read-only; the sandbox writes into files in disk/
)

// LogFile is where Command is to log, in the stage: a guest that can make it
// grow fills a small tmpfs and not the host's disk.
const LogFile = "log"

// ShareDir is the shared directory's name in the stage, and in the machine's
// directory when it is on disk.
const ShareDir = "share"

// stages are directories that every Linux host has (FHS 3.0) and that a machine
// has no use for on the host's side.
var stages = []string{"/mnt", "/srv", "/media", "/opt", "/home"}

// Stage picks the directory to mount on: one under which none of the given
// paths lies. It must be searchable by all, because in a user namespace the
// machine's root is nobody to the directories above it.
func Stage(paths ...string) (string, error) {
next:
	for _, s := range stages {
		st, err := os.Lstat(s)
		if err != nil || !st.IsDir() {
			continue
		}
		for _, p := range paths {
			if real, err := filepath.EvalSymlinks(p); err == nil {
				p = real
			}
			if p == s || strings.HasPrefix(p, s+"/") {
				continue next
			}
		}
		return s, nil
	}
	return "", fmt.Errorf("none of %s can be mounted on: each is missing or holds files that the machine needs", strings.Join(stages, ", "))
}
