// Command vbankbatch issues, updates and revokes Korean virtual bank accounts for a CSV of orders through the PortOne
// V1 API. README.md tells how to use it and how to read its source. The command line is package report/command.
package main

import (
	"os"
	"runtime/debug"
	"time"

	"vbankbatch/report/command"
)

func main() {
	// Little is alive at any time: a few MB more buy a fifth of the processor's time, but for a million rows and more.
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(112 << 20)
	os.Exit(command.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, time.Now))
}
