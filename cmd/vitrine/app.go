package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vitrine-dev/vitrine"
	"github.com/vitrine-dev/vitrine/internal/agentclient"
	"github.com/vitrine-dev/vitrine/internal/agentproto"
	"github.com/vitrine-dev/vitrine/internal/flight"
	"github.com/vitrine-dev/vitrine/internal/httpapi"
	"github.com/vitrine-dev/vitrine/internal/image"
	"github.com/vitrine-dev/vitrine/internal/network"
	"github.com/vitrine-dev/vitrine/internal/session"
	"github.com/vitrine-dev/vitrine/internal/sshd"
	"github.com/vitrine-dev/vitrine/internal/store"
	"github.com/vitrine-dev/vitrine/internal/stream"
	"github.com/vitrine-dev/vitrine/web"
)

// app is the daemon: every part, wired. newApp makes it without answering
// anything yet; run serves until its context ends; close takes it down in
// reverse and leaves machines running.
type app struct {
	set      settings
	log      *slog.Logger
	key      nodeKey
	store    vitrine.Store
	images   *image.Store
	sessions *session.Service
	flights  *flight.Recorder
	network  *network.Network
	streams  *stream.Streams
	api      *httpapi.Server
	listener net.Listener
	local    net.Listener
	sshAt    net.Listener // nil when SSH is off
	sshd     *sshd.Server // likewise
	hostKey  string       // its public half
	adminKey string       // only when it was made at this start
	metrics  *prometheus.Registry
	auth     localAuth
	reports  reports // of the doctor
	undo     []func()
}

// newApp opens everything that can be refused: directory, database, ports.
func newApp(ctx context.Context, set settings, log *slog.Logger) (a *app, err error) {
	a = &app{set: set, log: log}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	unlock, err := prepareDataDir(set.DataDir)
	if err != nil {
		return a, err
	}
	a.undo = append(a.undo, unlock)
	if a.key, err = loadNodeKey(set.DataDir); err != nil {
		return a, err
	}
	if err = a.listen(); err != nil {
		return a, err
	}
	if a.store, err = store.Open(ctx, set.DatabaseURL); err != nil {
		return a, err
	}
	a.undo = append(a.undo, func() { _ = a.store.Close() })
	a.images = image.NewStore(set.ImageDir)
	if err = a.wireFlights(); err != nil {
		return a, err
	}
	if err = a.wireSessions(); err != nil {
		return a, err
	}
	if err = a.wireStreams(); err != nil {
		return a, err
	}
	if err = a.wireSSH(); err != nil {
		return a, err
	}
	if err = a.ensureKeys(ctx); err != nil {
		return a, err
	}
	return a, a.wireAPI()
}

// listen takes the port before anything is started: a second daemon then fails
// with one clear error and has touched nothing.
func (a *app) listen() (err error) {
	if a.listener, err = net.Listen("tcp", a.set.Listen); err != nil {
		return vitrine.Errorf(vitrine.ClassConflict, "port_in_use", "cannot listen on %s", a.set.Listen).
			WithRemedy("stop what listens there, or set VITRINE_LISTEN to another port").WithCause(err)
	}
	a.undo = append(a.undo, func() { _ = a.listener.Close() })
	if err := a.listenSSH(); err != nil {
		return err
	}
	path := filepath.Join(a.set.DataDir, socketName)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing the last run's local socket: %w", err)
	}
	if a.local, err = net.Listen("unix", path); err != nil {
		return fmt.Errorf("opening the local socket: %w", err)
	}
	a.undo = append(a.undo, func() { _ = a.local.Close() })
	return os.Chmod(path, 0o600)
}

func (a *app) wireSessions() error {
	pool, err := newPool(a.set.Subnet)
	if err != nil {
		return err
	}
	if a.network, err = network.New(network.Config{Bridge: a.set.Bridge, Pool: pool, DNS: a.set.DNS}); err != nil {
		return err
	}
	runtimes, err := newRuntimes(a.set, a.set.DataDir, a.images, a.log)
	if err != nil {
		return err
	}
	// It holds the directory's lock itself, so there is a daemon.
	keeper, err := newHost(a.set, a.network, func() bool { return false })
	if err != nil {
		return err
	}
	a.sessions, err = session.New(session.Config{
		Host:  keeper,
		Store: a.store, Images: a.images, Network: a.network, Runtimes: runtimes,
		NewAgent: func(rt vitrine.Runtime, machineID string) vitrine.Agent {
			return agentclient.New(func(ctx context.Context) (net.Conn, error) {
				return rt.Dial(ctx, machineID, vitrine.AgentPort)
			}, a.key.agentSecret(machineID))
		},
		AgentConfig: a.agentConfig,
		Runtime:     a.set.Runtime,
		Defaults: map[vitrine.Kind]session.Defaults{
			vitrine.KindDesktop:  {Image: string(vitrine.KindDesktop), VCPU: a.set.BrowserVCPU, MemoryMB: a.set.BrowserMemoryMB},
			vitrine.KindTerminal: {Image: string(vitrine.KindTerminal), VCPU: a.set.CLIVCPU, MemoryMB: a.set.CLIMemoryMB},
		},
		Capacity: capacity(a.set), Pool: pool, Node: hostName(), BootID: bootID(), Protocol: agentproto.Version,
		Deadlines: session.Deadlines{
			Image: a.set.ImageTimeout, Network: a.set.NetworkTimeout, Machine: a.set.MachineTimeout,
			Agent: a.set.AgentTimeout, Display: a.set.DisplayTimeout, Browser: a.set.BrowserTimeout,
		},
		Keep:         a.set.KeepEnded,
		BelowMinimum: a.set.BelowMinimum,
		Admit:        func(context.Context) error { return admitDisk(a.set) },
		Disk: session.DiskGuard{
			FreeMB: func() (int, error) { return freeMB(a.set.DataDir) },
			UseMB:  func(id string) int { return writtenMB(a.set.DataDir, id) }, StopMB: a.set.DiskStopMB,
		},
		Viewers:  func(id string) int { return a.streams.Viewers(id) },
		OnOver:   a.sessionOver,
		Recorder: a.flights,
		Log:      a.log,
	})
	return err
}

// agentConfig is what a machine's agent is told.
func (a *app) agentConfig(s vitrine.Session, at vitrine.Attachment) ([]byte, error) {
	c := agentproto.Config{
		MachineID: s.MachineID, SessionID: s.ID, Secret: a.key.agentSecret(s.MachineID),
		Kind: string(s.Kind), Hostname: "vitrine-" + s.ID[len(s.ID)-6:], Sandbox: s.Runtime,
		Width: s.Viewport.Width, Height: s.Viewport.Height, StartURL: s.StartURL,
		Network: agentproto.Network{Configure: s.Isolation.OwnKernel(), Device: at.Device, Address: at.Address.String(), Gateway: at.Gateway.String()},
	}
	for _, dns := range at.DNS {
		c.Network.DNS = append(c.Network.DNS, dns.String())
	}
	return json.Marshal(c)
}

func (a *app) wireStreams() (err error) {
	host, _, _ := net.SplitHostPort(a.set.Listen)
	cfg := stream.Config{
		Agents: a.sessions, SessionState: a.sessions.Get, OnActivity: a.sessions.Touch,
		ListenHost: host, MediaPort: a.set.MediaPort, TURNPort: a.set.TURNPort,
		SkipInterfaces: []string{a.set.Bridge}, DenyPeers: []netip.Prefix{a.set.Subnet},
		TURNSecret: a.key.derive("turn"), ResumeKey: a.key.derive("resume"), Log: a.log,
	}
	if a.set.PublicIP.IsValid() {
		cfg.PublicIPs = []netip.Addr{a.set.PublicIP}
	}
	if _, host, ok := strings.Cut(a.set.PublicURL, "://"); ok {
		cfg.Origins = []string{host}
		cfg.PublicHost = host
		if h, _, err := net.SplitHostPort(host); err == nil {
			cfg.PublicHost = h
		}
	}
	if a.streams, err = stream.New(cfg); err != nil {
		return err
	}
	a.undo = append(a.undo, func() { _ = a.streams.Close() })
	return nil
}

func (a *app) wireAPI() (err error) {
	a.auth = newLocalAuth(a.store)
	a.metrics = prometheus.NewRegistry()
	registerHost(a.metrics, a.set)
	registerSweeps(a.metrics, a.sessions.Sweeper())
	a.api, err = httpapi.New(httpapi.Config{
		Sessions: a.sessions, Streams: a.streams, Events: a.store, Auth: a.auth, Images: a.images,
		Bundles: a.flights,
		Web:     web.Handler(a.set.WebDev), PublicURL: a.set.PublicURL, Version: version,
		SSHKeys: a.sshKeys(), SSH: a.sshEndpoint(),
		Keeper: a.sessions.Sweeper(), Doctor: a.doctor,
		Ping: a.store.Ping, RateLimit: a.set.RateLimit, RateWindow: a.set.RateWindow,
		Registry: a.metrics, Log: a.log,
	})
	return err
}

// run serves until ctx ends. What it answers with at first is up to announce.
func (a *app) run(ctx context.Context, announce func()) error {
	sessionsDone := make(chan error, 1)
	sctx, stopSessions := context.WithCancel(context.WithoutCancel(ctx))
	defer stopSessions()
	go func() { sessionsDone <- a.sessions.Run(sctx) }()

	go a.keepRules(sctx)
	go a.keepBundles(sctx)

	public, local := a.api.HTTPServer(), a.localServer()
	failed := make(chan error, 3)
	serve := func(s *http.Server, l net.Listener) {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("serving on %s: %w", l.Addr(), err)
		}
	}
	go serve(public, a.listener)
	go serve(local, a.local)
	if a.sshd != nil {
		go func() {
			if err := a.sshd.Serve(a.sshAt); err != nil {
				failed <- fmt.Errorf("serving SSH on %s: %w", a.sshAt.Addr(), err)
			}
		}()
	}
	announce()

	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	case err = <-sessionsDone:
		sessionsDone <- nil
		err = fmt.Errorf("the session service left: %w", err)
	}
	err = errors.Join(err, a.drain(ctx, public, local))
	stopSessions()
	select {
	case e := <-sessionsDone:
		if !errors.Is(e, context.Canceled) {
			err = errors.Join(err, e)
		}
	case <-time.After(sessionsTime):
		a.log.Warn("the session service did not stop in time", "limit", sessionsTime)
	}
	return err
}

// repairEvery is how long machines may be without our firewall rules after
// somebody on the host has flushed them (a reload of the host's own firewall
// does).
const repairEvery = 15 * time.Second

func (a *app) keepRules(ctx context.Context) {
	tick := time.NewTicker(repairEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := a.network.Repair(ctx); err != nil && ctx.Err() == nil {
				a.log.Error("keeping the machines' firewall rules", "error", err)
			}
		}
	}
}

// close gives back what newApp took, last first.
func (a *app) close() {
	for i := len(a.undo) - 1; i >= 0; i-- {
		a.undo[i]()
	}
	a.undo = nil
}

// url is how this daemon is reached: VITRINE_PUBLIC_URL, else the address it
// listens on, by the name that browsers treat as a secure context.
func (a *app) url() string {
	if a.set.PublicURL != "" {
		return a.set.PublicURL
	}
	host, port, _ := net.SplitHostPort(a.listener.Addr().String())
	if ip, err := netip.ParseAddr(host); err != nil || ip.IsUnspecified() || ip.IsLoopback() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}
