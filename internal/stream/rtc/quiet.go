package rtc

import "github.com/pion/logging"

// quietFactory silences pion: what it logs are a stranger's packets, one line
// each, which would let anybody fill the log. What matters comes to us as
// errors and connection states.
type quietFactory struct{}

func (quietFactory) NewLogger(string) logging.LeveledLogger { return quiet }

var quiet logging.LeveledLogger = quietLogger{}

// Quiet is pion's logging, silenced.
var Quiet logging.LoggerFactory = quietFactory{}

type quietLogger struct{}

func (quietLogger) Trace(string)          {}
func (quietLogger) Tracef(string, ...any) {}
func (quietLogger) Debug(string)          {}
func (quietLogger) Debugf(string, ...any) {}
func (quietLogger) Info(string)           {}
func (quietLogger) Infof(string, ...any)  {}
func (quietLogger) Warn(string)           {}
func (quietLogger) Warnf(string, ...any)  {}
func (quietLogger) Error(string)          {}
func (quietLogger) Errorf(string, ...any) {}
