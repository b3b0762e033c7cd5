package display

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// Bounds of what the agent waits for from the child.
const (
	startTimeout = 15 * time.Second // exec, connect, extensions; gVisor is slow to exec
	callTimeout  = 10 * time.Second // one hand-over, resize or screenshot
	closeGrace   = 2 * time.Second  // between closing its socket and killing it
)

// ErrClosed is returned by calls to a child that has ended.
var ErrClosed = errors.New("the display process has ended")

// Options say how to run the child.
type Options struct {
	Exe        string    // the agent's own binary; "" is /proc/self/exe
	Dir        string    // working directory and HOME; "" is /
	Display    string    // ":1"
	XAuthority string    // cookie file, readable by UID; "" when the server asks none
	UID, GID   int       // the X server's user; ignored when we are not root
	Stderr     io.Writer // the child's log lines; nil discards them
}

// Process is a running child.
type Process struct {
	cmd  *exec.Cmd
	conn *net.UnixConn
	done chan struct{}
	err  error // why it ended; read after done

	mu      sync.Mutex
	nextID  uint64
	waiting map[uint64]chan reply
	ready   chan reply
}

// Start runs the child and returns once it is connected to the X server. The
// child is killed when ctx ends, so ctx must live as long as the display
// should. It is not restarted: wait for Done, then Start again.
func Start(ctx context.Context, o Options) (*Process, error) {
	conn, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	exe, dir := o.Exe, o.Dir
	if exe == "" {
		exe = "/proc/self/exe"
	}
	if dir == "" {
		dir = "/"
	}
	cmd := exec.CommandContext(ctx, exe, "display")
	cmd.Dir = dir
	cmd.Env = []string{
		"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8",
		"HOME=" + dir, "DISPLAY=" + o.Display, "XAUTHORITY=" + o.XAuthority,
	}
	cmd.ExtraFiles = []*os.File{theirs} // becomes controlFD
	cmd.Stderr = o.Stderr
	cmd.WaitDelay = closeGrace
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(o.UID), Gid: uint32(o.GID)}
	}
	if err := cmd.Start(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("start the display process: %w", err)
	}
	p := &Process{
		cmd: cmd, conn: conn, done: make(chan struct{}),
		waiting: map[uint64]chan reply{}, ready: make(chan reply, 1),
	}
	go p.read()
	go p.wait()
	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	select {
	case r := <-p.ready:
		if r.Err == "" {
			return p, nil
		}
		err = errors.New(r.Err)
	case <-p.done:
		err = p.err
	case <-ctx.Done():
		err = ctx.Err()
	case <-timeout.C:
		err = fmt.Errorf("no answer within %s", startTimeout)
	}
	p.Close()
	return nil, fmt.Errorf("start the display process on %s: %w", o.Display, err)
}

// Done is closed when the child has ended and been reaped.
func (p *Process) Done() <-chan struct{} { return p.done }

// PID is the child's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Close ends the child and its streams, and waits until it is gone.
func (p *Process) Close() {
	p.conn.Close()
	t := time.NewTimer(closeGrace)
	defer t.Stop()
	select {
	case <-p.done:
		return
	case <-t.C:
	}
	_ = p.cmd.Process.Kill()
	<-p.done
}

func (p *Process) wait() {
	err := p.cmd.Wait()
	if err == nil {
		err = ErrClosed
	} else {
		err = fmt.Errorf("%w: %w", ErrClosed, err)
	}
	p.conn.Close()
	p.err = err
	close(p.done)
}

func (p *Process) read() {
	for {
		var r reply
		f, err := receiveMessage(p.conn, &r)
		if f != nil {
			f.Close() // the child has none to give
		}
		if err != nil {
			return // wait notices the end; a child without its socket ends
		}
		if r.ID == 0 {
			select {
			case p.ready <- r:
			default:
			}
			continue
		}
		p.mu.Lock()
		c := p.waiting[r.ID]
		delete(p.waiting, r.ID)
		p.mu.Unlock()
		if c != nil {
			c <- r
		}
	}
}

// call sends one request and waits for its reply.
func (p *Process) call(ctx context.Context, req request, f *os.File) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	c := make(chan reply, 1)
	p.mu.Lock()
	p.nextID++
	req.ID = p.nextID
	p.waiting[req.ID] = c
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.waiting, req.ID)
		p.mu.Unlock()
	}()
	if err := sendMessage(p.conn, req, f); err != nil {
		return reply{}, fmt.Errorf("ask the display process for a %s: %w", req.Op, err)
	}
	select {
	case r := <-c:
		if r.Err != "" {
			return r, fmt.Errorf("display %s: %s", req.Op, r.Err)
		}
		return r, nil
	case <-p.done:
		return reply{}, p.err
	case <-ctx.Done():
		return reply{}, fmt.Errorf("display %s: %w", req.Op, ctx.Err())
	}
}

// Resize sets the screen's size in pixels and returns the size it got: even,
// and within the bounds of clampSize. Streams get a keyframe of the new size.
func (p *Process) Resize(ctx context.Context, w, h int) (int, int, error) {
	r, err := p.call(ctx, request{Op: opResize, Width: w, Height: h}, nil)
	return r.Width, r.Height, err
}

// Screenshot is the screen as PNG, at most agentproto.MaxScreenshot bytes.
func (p *Process) Screenshot(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("take a screenshot: %w", err)
	}
	defer r.Close()
	type result struct {
		png []byte
		err error
	}
	got := make(chan result, 1)
	go func() {
		b, err := io.ReadAll(io.LimitReader(r, agentproto.MaxScreenshot+1))
		got <- result{b, err}
	}()
	_, err = p.call(ctx, request{Op: opScreenshot}, w)
	w.Close()
	if err != nil {
		return nil, err
	}
	select {
	case g := <-got:
		if g.err != nil {
			return nil, fmt.Errorf("read the screenshot: %w", g.err)
		}
		if len(g.png) > agentproto.MaxScreenshot {
			return nil, fmt.Errorf("the screenshot is over %d bytes", agentproto.MaxScreenshot)
		}
		return g.png, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("read the screenshot: %w", ctx.Err())
	}
}

// Stream gives conn to the child as the stream path (PathVideo with
// codec=vp8|h264, or PathControl), after 101 has been written to it. conn is a
// unix socket or part of a pair: it must have File. Nothing of the stream may have been read already. It returns as soon as the child has
// it: from then on the child owns the stream and conn is closed here. On an
// error conn stays the caller's.
func (p *Process) Stream(conn net.Conn, path string, query url.Values) error {
	if err := CheckStream(path, query); err != nil {
		return err
	}
	f, err := fileOf(conn)
	if err != nil {
		return fmt.Errorf("hand over %s: %w", path, err)
	}
	defer f.Close()
	req := request{Op: opStream, Path: path, Query: url.Values{"codec": query["codec"]}}
	if len(req.Query["codec"]) > 1 {
		req.Query["codec"] = req.Query["codec"][:1]
	}
	if _, err := p.call(context.Background(), req, f); err != nil {
		return err
	}
	return conn.Close()
}

// fileOf is conn's descriptor, duplicated.
func fileOf(conn net.Conn) (*os.File, error) {
	if c, ok := conn.(interface{ File() (*os.File, error) }); ok {
		return c.File()
	}
	return nil, fmt.Errorf("a %T has no file descriptor", conn)
}
