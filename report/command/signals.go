package command

import (
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"vbankbatch/client/say"
)

// endingSignals end the command: the first one with what is under way, the second one at once.
var endingSignals = []os.Signal{syscall.SIGINT, syscall.SIGTERM}

// interrupted is the cause of a context that a signal ended.
type interrupted struct{ syscall.Signal }

func (i interrupted) Error() string { return i.Say().String() }

// Say tells which signal it was.
func (i interrupted) Say() say.Message { return say.Messagef("stopped by %s", i.Signal.String()) }

// signals is what a command does on those that do not end it.
type signals struct {
	mu       sync.Mutex
	status   func() string // one line for statusSignal
	reloads  bool          // reloadSignal is for the profile, and ends nothing
	reload   func()        // for reloadSignal; nil while there is nothing yet that it would change
	reloaded chan struct{} // see askReload
	late     bool          // askReload was before reload was there
}

// tell has what asks for the command's status answered from now on.
func (a *app) tell(status func() string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.status = status
}

// holdReload has what asks for the profile remembered from now on, until onReload.
func (a *app) holdReload() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reloads, a.reload = true, nil
}

// onReload has what asks for the profile answered from now on, and what was remembered.
func (a *app) onReload(reload func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reload = reload
	if a.late {
		a.late = false
		a.askReload()
	}
}

// watch handles signals until it is done. What ends the command waits for nothing: what is printed or read over the other
// signals may hang, on a pipe that nobody reads for example, and is done elsewhere.
func (a *app) watch(done <-chan struct{}, end func(syscall.Signal)) (stop func()) {
	hangUp := reloadSignal != nil && !signal.Ignored(reloadSignal) // Ignored is false after Notify
	ending, status, reload := make(chan os.Signal, 1), make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(ending, endingSignals...)
	if statusSignal != nil { // Notify without a signal would mean all of them
		signal.Notify(status, statusSignal)
		signal.Notify(reload, reloadSignal)
	}
	go a.answer(status, done)
	go func() {
		for {
			select {
			case s := <-ending:
				end(s.(syscall.Signal))
			case s := <-reload:
				a.hangUp(s.(syscall.Signal), hangUp, end)
			case <-done:
				return
			}
		}
	}()
	return func() {
		for _, c := range []chan os.Signal{ending, status, reload} {
			signal.Stop(c)
		}
	}
}

// hangUp has the profile read again; where nobody does that the signal ends the command, but under nohup.
func (a *app) hangUp(s syscall.Signal, ends bool, end func(syscall.Signal)) {
	a.mu.Lock()
	reloads := a.reloads
	a.mu.Unlock()
	switch {
	case reloads:
		a.askReload()
	case ends:
		end(s)
	}
}

// askReload has answer read the profile again. It does not wait, and what waits already is enough.
func (a *app) askReload() {
	select {
	case a.reloaded <- struct{}{}:
	default:
	}
}

// answer tells the command's status, and reads the profile again, whenever somebody asks for it.
func (a *app) answer(asked <-chan os.Signal, done <-chan struct{}) {
	for {
		select {
		case <-asked:
			a.mu.Lock()
			status := a.status
			a.mu.Unlock()
			if status != nil {
				a.stderr.Printf("status: %s\n", status())
			} else {
				fmt.Fprintln(a.stderr, a.Text("status: nothing to tell yet"))
			}
		case <-a.reloaded:
			a.mu.Lock()
			reload := a.reload
			a.late = reload == nil
			a.mu.Unlock()
			if reload != nil {
				reload()
			}
		case <-done:
			return
		}
	}
}
