package batch_test

import (
	"flag"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	flag.Set("test.parallel", "8") // what runs side by side waits for the disk, most of the time; -parallel goes before it
	os.Exit(m.Run())
}
