package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// instruction is one of a Dockerfile.
type instruction struct{ name, rest string }

// args reads the JSON form of an instruction.
func (i instruction) args(t *testing.T) (args []string) {
	t.Helper()
	if err := json.Unmarshal([]byte(i.rest), &args); err != nil {
		t.Fatalf("%s %s: %v", i.name, i.rest, err)
	}
	return args
}

var continued = regexp.MustCompile(`\\\n\s*`)

// dockerfile reads the stages of the project's Dockerfile.
func dockerfile(t *testing.T) (stages [][]instruction) {
	t.Helper()
	text, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(continued.ReplaceAllString(string(text), "")) {
		name, rest, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || name == "#" {
			continue
		}
		if name == "FROM" {
			stages = append(stages, nil)
		}
		stages[len(stages)-1] = append(stages[len(stages)-1], instruction{name, rest})
	}
	return stages
}

// image is what the last stage of the Dockerfile makes, unpacked.
type image struct {
	root, volume                  string   // directories here
	mount, user, group            string   // where the volume is mounted, and as whom all runs
	env                           []string // as KEY=value
	entrypoint, command, checking []string
}

// buildImage does what an engine would, without one: the commands of the first
// stage in a copy of the sources, the copies of the last into a new root.
func buildImage(t *testing.T) *image {
	t.Helper()
	stages := dockerfile(t)
	if len(stages) != 2 {
		t.Fatalf("the Dockerfile has %d stages, want 2", len(stages))
	}
	base := t.TempDir()
	places := strings.NewReplacer("/src", filepath.Join(base, "src"), "/data", filepath.Join(base, "data"))
	if out := command(t, os.Environ(), "git", "clone", "-q", "..", filepath.Join(base, "src")); out.code != 0 {
		t.Fatalf("git clone: %+v", out)
	}
	for _, i := range stages[0] {
		if i.name != "RUN" {
			continue
		}
		run := exec.Command("sh", "-c", places.Replace(i.rest))
		run.Dir, run.Env = filepath.Join(base, "src"), append(os.Environ(), "TARGETARCH=", "TARGETVARIANT=")
		if out, err := run.CombinedOutput(); err != nil {
			t.Fatalf("RUN %s: %v\n%s", i.rest, err, out)
		}
	}
	im := &image{root: filepath.Join(base, "root"), volume: filepath.Join(base, "volume")}
	mkdir(t, im.root, im.volume)
	for _, i := range stages[1] {
		switch i.name {
		case "COPY":
			words := slices.DeleteFunc(strings.Fields(i.rest), func(w string) bool { return strings.HasPrefix(w, "--") })
			from, to := places.Replace(words[0]), filepath.Join(im.root, words[1])
			mkdir(t, filepath.Dir(to))
			if out := command(t, nil, "cp", "-r", from, to); out.code != 0 {
				t.Fatalf("COPY %s: %+v", i.rest, out)
			}
		case "VOLUME":
			im.mount = i.rest
		case "USER":
			im.user, im.group, _ = strings.Cut(i.rest, ":")
		case "ENV":
			im.env = strings.Fields(i.rest)
		case "ENTRYPOINT":
			im.entrypoint = i.args(t)
		case "CMD":
			im.command = i.args(t)
		case "HEALTHCHECK":
			_, cmd, _ := strings.Cut(i.rest, "CMD ")
			im.checking = instruction{"CMD", cmd}.args(t)
		}
	}
	return im
}

func mkdir(t *testing.T, dirs ...string) {
	t.Helper()
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

// inside is the command line that runs a program in the image: its root is all
// there is, and cannot be written to; the user is nobody here.
func (im *image) inside(argv ...string) []string {
	line := []string{"bwrap", "--ro-bind", im.root, "/", "--bind", im.volume, im.mount, "--unshare-all", "--share-net",
		"--uid", im.user, "--gid", im.group, "--cap-drop", "ALL", "--clearenv", "--die-with-parent", "--as-pid-1"}
	for _, e := range im.env {
		key, value, _ := strings.Cut(e, "=")
		line = append(line, "--setenv", key, value)
	}
	return append(line, argv...)
}

func (im *image) run(t *testing.T, argv ...string) ended {
	t.Helper()
	line := im.inside(argv...)
	return command(t, nil, line[0], line[1:]...)
}

// TestContainer runs the image as compose.yaml does, on a root that is read-only
// and holds nothing but what the Dockerfile copies there.
func TestContainer(t *testing.T) {
	t.Parallel()
	im := buildImage(t)
	var compose struct {
		Services map[string]struct {
			Command  []string
			ReadOnly bool `yaml:"read_only"`
			Volumes  []string
		}
	}
	text, err := os.ReadFile("../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &compose); err != nil {
		t.Fatal(err)
	}
	for name, s := range compose.Services {
		if !s.ReadOnly || !slices.Equal(s.Volumes, []string{"data:" + im.mount}) {
			t.Errorf("compose.yaml: %s is %+v: want a read-only root, and the volume at %s", name, s, im.mount)
		}
	}
	if len(compose.Services) != 2 || compose.Services["muster"].Command != nil {
		t.Errorf("compose.yaml: %+v, want init and muster, which runs the command of the image", compose.Services)
	}
	initial := append(slices.Clone(im.entrypoint), compose.Services["init"].Command...)
	if out := im.run(t, initial...); out.code != 0 || !strings.Contains(out.stdout, "Made ") {
		t.Fatalf("first start: %+v", out)
	}
	if out := im.run(t, initial...); out.code != 0 || !strings.Contains(out.stdout, "Kept ") {
		t.Fatalf("second start: %+v", out)
	}
	if out := im.run(t, im.checking...); out.code != 1 {
		t.Errorf("the health check before the start: %+v, want exit 1", out)
	}
	if out := im.run(t, "/muster", "init", "--dir", "/elsewhere"); out.code != 1 || !strings.Contains(out.stderr, "read-only") {
		t.Errorf("writing beside the volume: %+v", out)
	}
	im.serve(t)
}

// serve runs the image's command on free ports until it is stopped.
func (im *image) serve(t *testing.T) {
	t.Helper()
	line := im.inside(slices.Concat(im.entrypoint, im.command,
		[]string{"--mqtt", anyPort, "--api", anyPort, "--http", anyPort})...)
	server := exec.Command(line[0], line[1:]...)
	server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	server.Stderr = log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	t.Cleanup(func() { _ = syscall.Kill(-server.Process.Pid, syscall.SIGKILL) })
	eventually(t, 20*time.Second, "the health check says ready", func() bool {
		return im.run(t, im.checking...).code == 0
	})
	if err := syscall.Kill(child(t, server.Process.Pid), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("the server ended by SIGTERM: %v", err)
		}
	case <-time.After(stopTimeout):
		t.Fatal("the server still runs after SIGTERM")
	}
	text, err := os.ReadFile(log.Name())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), `"event":"stopped"`) {
		t.Errorf("the server did not stop in order:\n%s", text)
	}
}

// child returns the only child of a process: bwrap's, which is the program.
func child(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		t.Fatal(err)
	}
	only, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return only
}
