package agent

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitrine-dev/vitrine/internal/agentproto"
)

// mayfly is a run that ends after a while, or when it is stopped.
type mayfly struct {
	clean bool
	end   chan struct{}
	once  *sync.Once
}

func newMayfly(lives time.Duration, clean bool) mayfly {
	m := mayfly{clean: clean, end: make(chan struct{}), once: new(sync.Once)}
	time.AfterFunc(lives, func() { m.stop(0) })
	return m
}

func (m mayfly) pid() int              { return 7 }
func (m mayfly) done() <-chan struct{} { return m.end }
func (m mayfly) exit() (string, bool)  { return "exit status 1", m.clean }
func (m mayfly) stop(time.Duration)    { m.once.Do(func() { close(m.end) }) }

func runProgram(t *testing.T, for_ time.Duration, start func(n int) (instance, error)) (starts int, problem *agentproto.Problem, p *program) {
	synctest.Test(t, func(t *testing.T) {
		log := slog.New(slog.DiscardHandler)
		p = &program{name: "fly", log: log, lines: newRing(log), grace: time.Second}
		p.lines.add("the last words")
		p.start = func(context.Context, int) (instance, error) {
			starts++
			return start(starts)
		}
		p.gaveUp = func(pr agentproto.Problem) { problem = &pr }
		ctx, cancel := context.WithTimeout(t.Context(), for_)
		defer cancel()
		p.run(ctx)
		synctest.Wait()
	})
	return starts, problem, p
}

func TestAProgramThatDiesAtOnceIsGivenUpWithItsLog(t *testing.T) {
	starts, problem, p := runProgram(t, time.Hour, func(int) (instance, error) { return newMayfly(time.Millisecond, false), nil })
	if starts != maxRestarts+1 || problem == nil {
		t.Fatalf("%d starts, problem %v", starts, problem)
	}
	if problem.Program != "fly" || !strings.Contains(problem.Message, "exit status 1") || len(problem.Log) != 1 {
		t.Errorf("%+v", problem)
	}
	if s := p.status(); s.Running || s.Restarts != maxRestarts || !strings.HasPrefix(s.LastExit, "exit status 1 at ") {
		t.Errorf("%+v", s)
	}
}

func TestAProgramThatLeavesCleanlyAtOnceIsGivenUpToo(t *testing.T) {
	starts, problem, _ := runProgram(t, time.Hour, func(int) (instance, error) { return newMayfly(time.Millisecond, true), nil })
	if starts != maxRestarts+1 || problem == nil {
		t.Errorf("%d starts, problem %v", starts, problem)
	}
}

func TestAProgramThatCannotBeStartedIsGivenUp(t *testing.T) {
	starts, problem, _ := runProgram(t, time.Hour, func(int) (instance, error) { return nil, errors.New("no such file") })
	if starts != maxRestarts+1 || problem == nil || !strings.Contains(problem.Message, "no such file") {
		t.Errorf("%d starts, problem %v", starts, problem)
	}
}

func TestAProgramThatCrashesNowAndThenIsAlwaysStartedAgain(t *testing.T) {
	starts, problem, _ := runProgram(t, time.Hour, func(int) (instance, error) { return newMayfly(25*time.Second, false), nil })
	if problem != nil || starts < 100 {
		t.Errorf("%d starts in an hour, problem %v", starts, problem)
	}
}

func TestAWindowThatIsClosedAgainAndAgainIsNoCrash(t *testing.T) {
	starts, problem, _ := runProgram(t, 5*time.Minute, func(int) (instance, error) { return newMayfly(livedLong, true), nil })
	if problem != nil || starts < 25 {
		t.Errorf("%d starts in five minutes, problem %v", starts, problem)
	}
}

func TestAProgramIsStoppedWithTheMachine(t *testing.T) {
	starts, problem, p := runProgram(t, time.Minute, func(int) (instance, error) { return newMayfly(time.Hour, false), nil })
	if starts != 1 || problem != nil || p.status().Running {
		t.Errorf("%d starts, problem %v, %+v", starts, problem, p.status())
	}
}

func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		through := make(chan error, 1)
		go func() { through <- g.wait(t.Context()) }()
		synctest.Wait()
		g.set(true)
		g.set(true)
		if err := <-through; err != nil {
			t.Error(err)
		}
		g.set(false)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if g.wait(ctx) == nil {
			t.Error("a shut gate let through")
		}
	})
}
