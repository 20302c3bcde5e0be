// What the drivers of all clients have in common; build.sh compiles it into each.
package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path"
	"time"
)

var bootstrap string

// What a case made is removed by these.
var atEnd []func()

// Runs the case that the command line names: CLIENT BOOTSTRAP CASE [ARGUMENT…].
func drive(cases map[string]func(arguments []string), begin func()) {
	if len(os.Args) < 3 || cases[os.Args[2]] == nil {
		fmt.Fprintln(os.Stderr, path.Base(os.Args[0]), "BOOTSTRAP CASE [ARGUMENT…]")
		os.Exit(2)
	}
	bootstrap = os.Args[1]
	begin()
	cases[os.Args[2]](os.Args[3:])
	for _, cleanUp := range atEnd {
		cleanUp()
	}
}

func require(condition bool, message ...any) {
	if !condition {
		panic(fmt.Sprint(message...))
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func refused(err error, with error, what string) {
	require(errors.Is(err, with), what, ": expected ", with, ", got ", err)
}

// Asks again and again until it is so.
func eventually(what string, isSo func() bool) {
	for end := time.Now().Add(40 * time.Second); !isSo(); time.Sleep(10 * time.Millisecond) {
		require(time.Now().Before(end), "in vain: ", what)
	}
}

func unique(name string) string {
	bytes := make([]byte, 6)
	rand.Read(bytes)
	return "compat-" + path.Base(os.Args[0]) + "-" + name + "-" + hex.EncodeToString(bytes)
}
