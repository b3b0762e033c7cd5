// Command vitrine-agent is the program inside each machine; see internal/agent.
//
// It is built before vitrine, embedded in it, and put into every machine at
// start. It only wires: arguments, log and exit status.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/vitrine-dev/vitrine/internal/agent"
	"github.com/vitrine-dev/vitrine/internal/agent/display"
	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

const usage = `usage: vitrine-agent COMMAND [--dir DIR] [--vm]

  init      the machine's first process: starts serve and reaps orphans
  serve     supervise the machine's programs and answer the node
  display   the display child; serve starts it, with its socket as descriptor 3
  sftp      an SFTP server on standard input and output; serve starts it as the user
  version   print the protocol's version

The config is DIR/config.json, the socket DIR/agent.sock. --vm says that the
machine is a virtual one: init resets it at the end, and serve listens on vsock
and on the virtio-serial ports that its VMM made, too.
`

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	if len(args) == 0 {
		fmt.Fprint(os.Stderr, usage)
		return 2
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	dir := flags.String("dir", agentproto.Dir, "")
	vm := flags.Bool("vm", false, "")
	if err := flags.Parse(args[1:]); err != nil {
		return 2
	}
	log := slog.New(slog.NewTextHandler(os.Stdout, nil))
	switch args[0] {
	case "init":
		return agent.Init(*dir, *vm, log)
	case "serve":
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
		defer stop()
		if err := agent.Serve(ctx, *dir, *vm, log); err != nil {
			log.Error("the agent ends", "err", err)
			return 1
		}
		return 0
	case "display":
		return display.Main()
	case "sftp":
		return agent.SFTP()
	case "version":
		fmt.Println(agentproto.Version)
		return 0
	}
	fmt.Fprint(os.Stderr, usage)
	return 2
}
