package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// How long each step of the daemon's end may take; the steps before the
// sessions' overlap. packaging/vitrine.service waits longer than stopLimit
// (a test holds the two together).
const (
	drainTime    = 10 * time.Second // for calls under way
	shutdownTime = 3 * time.Second  // for what came in while they were waited for
	sessionsTime = 8 * time.Second  // for the session service to leave its machines alone
	stopLimit    = 30 * time.Second // for all of it, then the process leaves as it stands
)

// drain ends what callers and viewers hold of the daemon: new sessions, streams
// and SSH are refused, calls under way are answered, sockets, event streams and
// media end with a reason, so that their owners come back to the next daemon.
// Sessions are not touched.
func (a *app) drain(ctx context.Context, servers ...*http.Server) error {
	began := time.Now()
	a.log.Info("stopping; machines go on")
	ctx = context.WithoutCancel(ctx)
	var all sync.WaitGroup
	if a.sshd != nil {
		all.Go(a.sshd.Close)
	}
	all.Go(func() {
		dctx, cancel := context.WithTimeout(ctx, drainTime)
		defer cancel()
		a.api.Drain(dctx)
	})
	var streams error
	all.Go(func() {
		if streams = a.streams.Close(); streams != nil {
			a.log.Warn("viewers were cut off", "error", streams)
		}
	})
	all.Wait()
	shut, cancel := context.WithTimeout(ctx, shutdownTime)
	defer cancel()
	errs := make([]error, len(servers))
	for i, s := range servers {
		all.Go(func() {
			if errs[i] = s.Shutdown(shut); errs[i] != nil {
				_ = s.Close() // what is left is cut off
			}
		})
	}
	all.Wait()
	a.log.Info("nobody is connected any more", "after", time.Since(began).Round(time.Millisecond))
	return errors.Join(errs...)
}

// leaveInTime ends the process at a second SIGTERM or SIGINT, and when the end
// that the first began takes longer than stopLimit: machines do not mind, the
// next start finds them as after a kill. The function it gives calls that off.
func leaveInTime(log *slog.Logger) (off func()) {
	told, over := make(chan os.Signal, 2), make(chan struct{})
	signal.Notify(told, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-over:
			return
		case <-told:
		}
		late := time.NewTimer(stopLimit)
		defer late.Stop()
		select {
		case <-over:
			return
		case <-late.C:
			log.Error("the daemon does not come to its end; leaving as it stands, machines go on", "limit", stopLimit)
		case s := <-told:
			log.Warn("told a second time to stop; leaving at once, machines go on", "signal", s.String())
		}
		os.Exit(exitFailed)
	}()
	return func() { signal.Stop(told); close(over) }
}

// answers says whether the daemon answers itself, over its local socket. Any
// answer will do: it is for telling a hung process from a live one.
func (a *app) answers(limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(a.set.DataDir, socketName))
	}
	c := &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://local/version", nil)
	if err != nil {
		return err
	}
	resp, err := c.Do(req)
	if err != nil {
		return fmt.Errorf("asking the local socket for the version: %w", err)
	}
	return resp.Body.Close()
}
