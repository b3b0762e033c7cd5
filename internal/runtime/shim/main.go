package shim

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-dev/vitrine/internal/runtime/cgroup"
	"github.com/vitrine-dev/vitrine/internal/runtime/machinedir"
)

// replyFD is where Launch waits for our answer.
const replyFD = 3

// Main is the hidden verb: `run DIR` or `watch DIR`. It returns the exit status
// of the process.
func Main(args []string) int {
	if len(args) >= 3 && args[0] == "enter" {
		return enter(args[1:])
	}
	if len(args) != 2 || (args[0] != "run" && args[0] != "watch") {
		fmt.Fprintln(os.Stderr, "usage: shim run|watch DIR (started by the daemon)")
		return 2
	}
	// The terminal and the service manager have nothing to tell us; SIGTERM is
	// how the runtime asks the machine to end. A reader that left is no reason
	// to die either.
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGPIPE)
	s := &supervisor{dir: machinedir.Dir(args[1]), signals: make(chan os.Signal, 16), early: map[int]syscall.WaitStatus{}}
	signal.Notify(s.signals, syscall.SIGTERM, syscall.SIGCHLD)
	// Whatever the daemon's own parent left open is no machine's business.
	_ = unix.CloseRange(replyFD, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) // Linux 5.11
	unix.CloseOnExec(replyFD)
	s.reply = os.NewFile(replyFD, "reply")

	if err := s.begin(); err != nil {
		s.answer(err)
		return 1
	}
	if args[0] == "watch" {
		return s.watch()
	}
	return s.run()
}

// supervisor is the state of this process.
type supervisor struct {
	dir     machinedir.Dir
	plan    Plan
	group   *cgroup.Group
	reply   *os.File
	signals chan os.Signal
	early   map[int]syscall.WaitStatus // children that ended before they were asked for
	lock    *os.File
	machine machinedir.Process
	console chan struct{} // closed when the console has been read to its end
}

// begin makes us the machine's one supervisor and says so on disk.
func (s *supervisor) begin() error {
	lock, err := s.dir.Supervise()
	if err != nil {
		return err
	}
	s.lock = lock
	if err := s.dir.Read(machinedir.PlanFile, &s.plan); err != nil {
		return err
	}
	host, err := cgroup.Detect()
	if err != nil {
		return err
	}
	s.group = host.Group(s.plan.CgroupParent, s.plan.MachineID)
	self, err := machinedir.ProcessOf(os.Getpid())
	if err != nil {
		return err
	}
	self.Stage = s.plan.Stage
	if err := s.dir.Write(machinedir.SupervisorFile, self); err != nil {
		return err
	}
	return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
}

// answer tells Launch how the start went, once.
func (s *supervisor) answer(err error) {
	if s.reply == nil {
		return
	}
	var r StartError
	if err != nil {
		r.Message = err.Error()
		r.Lines = append(machinedir.Tail(s.stage(LogFile), 8), machinedir.Tail(s.dir.Join(machinedir.ConsoleFile), 10)...)
	}
	b, _ := json.Marshal(r)
	_, _ = s.reply.Write(b)
	s.reply.Close()
	s.reply = nil
}

// run is the whole life of a machine.
func (s *supervisor) run() int {
	err := s.start()
	if err != nil {
		s.finish(machinedir.Exit{Code: -1, Error: err.Error()})
		s.answer(err)
		return 1
	}
	s.answer(nil)
	s.finish(s.wait())
	return 0
}

// finish kills what is left of the machine, reads the console to its end and
// writes exit.json. It is the last thing that is done.
func (s *supervisor) finish(e machinedir.Exit) {
	// Not bounded: what cannot be killed (a process stuck in the kernel) is not
	// ended, and saying so would be a lie.
	for s.group.Kill(limit(10*time.Second)) != nil {
	}
	s.reap()
	if s.console != nil {
		select {
		case <-s.console:
		case <-time.After(2 * time.Second): // a writer outside the cgroup: not ours to wait for
		}
	}
	s.jailLog()
	s.keepLog()
	e.At = time.Now().UTC()
	e.OOMKills = s.group.OOMKills()
	_ = s.dir.Write(machinedir.ExitFile, e)
}
