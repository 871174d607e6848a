package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// errHurried is how a server ends that was not given its time.
var errHurried = errors.New("a second signal ended the server at once, before all clients had been told one by one")

// patience returns a context that the second SIGTERM or interrupt ends; the first
// ends the context of the command. A third ends the process, as if it caught no
// signals.
func patience() (patient context.Context, release func()) {
	patient, lose := context.WithCancel(context.Background())
	caught := make(chan os.Signal, 2)
	signal.Notify(caught, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 2 {
			select {
			case <-caught:
			case <-patient.Done():
				return
			}
		}
		lose()
		signal.Reset(os.Interrupt, syscall.SIGTERM)
	}()
	return patient, func() {
		signal.Stop(caught)
		lose()
		<-done
	}
}

// hangups returns what SIGHUP sends on, the signal for reading the configuration
// again.
func hangups() (caught chan os.Signal, release func()) {
	caught = make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGHUP)
	return caught, func() { signal.Stop(caught) }
}
