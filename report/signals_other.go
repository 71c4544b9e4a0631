//go:build !unix

package report

import "os"

// There are no such signals here.
var StatusSignal, ReloadSignal os.Signal
