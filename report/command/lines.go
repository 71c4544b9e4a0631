package command

import (
	"bytes"
	"io"
	"log/slog"
	"strings"
	"sync"

	"vbankbatch/batch/input"
	"vbankbatch/client/say"
)

// options are those of all logs: their times are Korea's, like all others.
func options(level slog.Level) *slog.HandlerOptions {
	return &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Value.Kind() == slog.KindTime {
			a.Value = slog.TimeValue(a.Value.Time().In(input.KST))
		}
		return a
	}}
}

// jsonLines makes a log event of each line that is printed for people, so that standard error holds nothing but JSON.
type jsonLines struct {
	to       io.Writer
	language say.Language

	mu   sync.Mutex
	log  *slog.Logger
	part []byte // of a line
}

func newJSONLines(to io.Writer, language say.Language) *jsonLines {
	return &jsonLines{to: to, language: language, log: slog.New(slog.NewJSONHandler(to, options(slog.LevelDebug)))}
}

// use has events logged by log from now on.
func (l *jsonLines) use(log *slog.Logger) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.log = log
}

func (l *jsonLines) logger() *slog.Logger {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.log
}

// Write logs what is whole of the lines.
func (l *jsonLines) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.part = append(l.part, text...)
	for {
		line, rest, whole := bytes.Cut(l.part, []byte("\n"))
		if !whole {
			return len(text), nil
		}
		l.event(string(line))
		l.part = rest
	}
}

// flush logs the rest as a line.
func (l *jsonLines) flush() { l.Write([]byte("\n")) }

func (l *jsonLines) event(line string) {
	warning, _, _ := strings.Cut(l.language.Text("warning: %v\n"), "%")
	if text, ok := strings.CutPrefix(line, warning); ok {
		l.log.Warn(text)
	} else if line = strings.TrimSpace(line); line != "" {
		l.log.Info(line)
	}
}
