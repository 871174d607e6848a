package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/muster-mqtt/muster"
	"github.com/muster-mqtt/muster/api/admin"
	"github.com/muster-mqtt/muster/fleet"
	"github.com/muster-mqtt/muster/policy"
)

func policyCommand(configPath *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Try policies on what a device wants to do, and put versions in force",
		Long: `Try policies on what a device wants to do, and learn which statement allows or
denies it: those that are in force, or those in files before they are. See the
versions of a policy, and put another one in force.`,
		Example: `  muster policy test --cert device.pem --client sensor-1 --connect --publish telemetry/sensor-1
  muster policy test device.json --client sensor-1 --subscribe 'commands/#'
  muster policy versions device
  muster policy default device 1`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(policyTestCommand(configPath), policyVersionsCommand(configPath), policyDefaultCommand(configPath))
	return cmd
}

// policyTest is one run of the command.
type policyTest struct {
	account, region, cert string
	session               admin.PolicySession
	at                    string
	thing                 thingFlags
	questions             questionFlags
	out                   format
}

func policyTestCommand(configPath *string) *cobra.Command {
	t := &policyTest{}
	cmd := &cobra.Command{
		Use:   "test [FILE…]",
		Short: "Say whether a device may do something, and which statement says so",
		Long: `Say whether a device may connect, publish, subscribe or receive, which statement of
which policy decides, and why the others take no part. The exit code is 0 if all
that was asked is allowed, and 1 if anything is denied.

Without files the policies in force are asked: those of the certificate that --cert
names, by its PEM file or its ID, and of the groups of its things. It has to be
registered.

With files they alone are asked, and neither a server nor a directory is needed:
--cert is a PEM file then, if the policies look at the certificate, and --thing or
--thing-name is the thing that it would be attached to.

What is asked is any number of --connect, --publish, --retain, --subscribe,
--receive, and of --action with its --resource. The certificate's status, validity
and OCSP are not looked at: muster explain does that.`,
		Example: `  muster policy test --cert device.pem --client sensor-1 --connect --will-topic status/sensor-1
  muster policy test --cert 4f0c1a2b --client sensor-1 --action iot:Publish --resource topic/a/b
  muster policy test device.json hall.json --cert device.pem --client sensor-1 --thing-name sensor-1 \
    --attribute line=7 --source-ip 192.0.2.7 --subscribe 'commands/#'`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, files []string) error {
			if err := t.check(files); err != nil {
				return &usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
			}
			r, err := t.ask(cmd, *configPath, files)
			if err != nil {
				return err
			}
			return t.tell(cmd, r)
		},
	}
	t.add(cmd)
	t.out.add(cmd)
	return cmd
}

func (t *policyTest) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&t.cert, "cert", "", "the device's certificate: a PEM `file`, or without policy files also its ID")
	f.StringVar(&t.cert, "certificate", "", "the same as --cert")
	f.StringVar(&t.session.ClientID, "client", "", "the client `id` that it connects with")
	f.StringVar(&t.session.SourceIP, "source-ip", "", "the `address` that it connects from")
	f.StringVar(&t.session.SNI, "sni", "", "the server `name` that it sends")
	f.StringArrayVar(&t.session.ConnectAttributes, "connect-attribute", nil, "PersistentConnect or LastWill, if its CONNECT asks for that; may be repeated")
	f.StringVar(&t.session.WillTopic, "will-topic", "", "the `topic` of its will; stands for LastWill too")
	f.StringVar(&t.at, "at", "", "the `time` of the question, such as 2026-11-22T12:00:00Z; now, if it is not given")
	f.StringVar(&t.account, "account", "", "the account's `id`; needed where there are several, and "+defaultAccount+" for files if it is not given")
	f.StringVar(&t.region, "region", "us-east-1", "with policy files: the `region` of their ARNs")
	f.StringVar(&t.thing.file, "thing", "", "with policy files: the thing, a JSON `file` as aws iot describe-thing prints it")
	f.StringVar(&t.thing.name, "thing-name", "", "with policy files: the `name` of the thing")
	f.StringVar(&t.thing.kind, "thing-type", "", "with policy files: the `name` of the thing's type")
	f.StringToStringVar(&t.thing.attributes, "attribute", nil, "with policy files: an attribute of the thing, as `key=value`; may be repeated")
	t.questions.add(cmd)
}

// defaultAccount is the one that muster init makes.
const defaultAccount = "123456789012"

// check finds what makes no sense on the command line.
func (t *policyTest) check(files []string) (err error) {
	switch {
	case t.session.ClientID == "":
		return errors.New("--client is missing")
	case len(files) == 0 && t.cert == "":
		return errors.New("name the certificate with --cert, or policy files")
	case len(files) == 0 && t.thing.given():
		return errors.New("--thing, --thing-name, --thing-type and --attribute go with policy files: without them the registry knows the thing")
	}
	if t.at != "" {
		if t.session.Time, err = time.Parse(time.RFC3339, t.at); err != nil {
			return fmt.Errorf("--at %q: write a time such as 2026-11-22T12:00:00Z", t.at)
		}
	}
	return t.questions.check()
}

func (t *policyTest) ask(cmd *cobra.Command, configPath string, files []string) (r admin.PolicyReport, err error) {
	questions := t.questions.all(t.session.ClientID)
	if len(files) > 0 {
		trial, err := t.trial(files)
		if err != nil {
			return r, err
		}
		return trial.Report(questions)
	}
	in := admin.PolicyTest{PolicySession: t.session, Questions: questions}
	in.Account = t.account
	if in.ID, err = certificateName(t.cert); err != nil {
		return r, err
	}
	err = operate(cmd, configPath, func(o *console) error {
		r, err = call[admin.PolicyReport](cmd.Context(), o, "policy/test", in)
		return err
	})
	return r, err
}

// trial reads the files that stand for the registry.
func (t *policyTest) trial(files []string) (*admin.PolicyTrial, error) {
	trial := &admin.PolicyTrial{Region: t.region, Account: t.account, Session: t.session, Publishable: fleet.Serves}
	if trial.Account == "" {
		trial.Account = defaultAccount
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("policy: %w", err)
		}
		if err := trial.Add(admin.PolicyName{Name: path}, string(text)); err != nil {
			return nil, err
		}
	}
	var err error
	if t.cert != "" {
		if trial.Certificate, err = readCertificate(t.cert); err != nil {
			return nil, err
		}
		trial.CertificateID = muster.Fingerprint(trial.Certificate.Raw)
	}
	trial.Thing, err = t.thing.read()
	return trial, err
}

// thingFlags say what thing there would be.
type thingFlags struct {
	file, name, kind string
	attributes       map[string]string
}

func (f *thingFlags) given() bool {
	return f.file != "" || f.name != "" || f.kind != "" || len(f.attributes) > 0
}

func (f *thingFlags) read() (*muster.Thing, error) {
	if !f.given() {
		return nil, nil
	}
	var in struct {
		Name       string            `json:"thingName"`
		Type       string            `json:"thingTypeName"`
		Attributes map[string]string `json:"attributes"`
	}
	if f.file != "" {
		text, err := os.ReadFile(f.file)
		if err == nil {
			err = json.Unmarshal(text, &in)
		}
		if err != nil {
			return nil, fmt.Errorf("thing %s: %w", f.file, err)
		}
	}
	if f.name != "" {
		in.Name = f.name
	}
	if f.kind != "" {
		in.Type = f.kind
	}
	if in.Name == "" {
		return nil, errors.New("the thing has no name; give one with --thing-name")
	}
	thing := &muster.Thing{Name: in.Name, Type: in.Type, Attributes: map[string]string{}}
	for _, attributes := range []map[string]string{in.Attributes, f.attributes} {
		for name, value := range attributes {
			thing.Attributes[name] = value
		}
	}
	return thing, nil
}

// questionFlags are what is asked.
type questionFlags struct {
	connect                             bool
	publish, retain, subscribe, receive []string
	actions, resources                  []string
}

func (q *questionFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&q.connect, "connect", false, "ask whether it may connect as --client")
	f.StringArrayVar(&q.publish, "publish", nil, "ask whether it may publish on this `topic`; may be repeated")
	f.StringArrayVar(&q.retain, "retain", nil, "ask whether it may retain messages on this `topic`, besides publishing them; may be repeated")
	f.StringArrayVar(&q.subscribe, "subscribe", nil, "ask whether it may subscribe to this `filter`; may be repeated")
	f.StringArrayVar(&q.receive, "receive", nil, "ask whether messages on this `topic` are delivered to it; may be repeated")
	f.StringArrayVar(&q.actions, "action", nil, "ask for an `action` such as iot:Publish, with --resource; may be repeated")
	f.StringArrayVar(&q.resources, "resource", nil, "the `resource` of --action: topic/NAME, topicfilter/FILTER, client/ID, or its ARN")
}

func (q *questionFlags) check() error {
	if len(q.actions) != len(q.resources) {
		return fmt.Errorf("--action is given %d times and --resource %d times; each action needs its resource", len(q.actions), len(q.resources))
	}
	if len(q.all("")) == 0 {
		return errors.New("nothing is asked; give --connect, --publish, --subscribe, --receive, or --action with --resource")
	}
	return nil
}

func (q *questionFlags) all(clientID string) (all []admin.PolicyQuestion) {
	ask := func(a policy.Action, names ...string) {
		for _, name := range names {
			all = append(all, admin.PolicyQuestion{Action: a.String(), Resource: a.Resource() + name})
		}
	}
	if q.connect {
		ask(policy.Connect, clientID)
	}
	ask(policy.Publish, q.publish...)
	ask(policy.RetainPublish, q.retain...)
	ask(policy.Subscribe, q.subscribe...)
	ask(policy.Receive, q.receive...)
	for i, action := range q.actions {
		all = append(all, admin.PolicyQuestion{Action: action, Resource: q.resources[i]})
	}
	return all
}

// tell prints the answers, and makes an error of what is denied.
func (t *policyTest) tell(cmd *cobra.Command, r admin.PolicyReport) error {
	if err := t.out.print(cmd.OutOrStdout(), r, func(b *bytes.Buffer) { writePolicyReport(b, r) }); err != nil {
		return err
	}
	var denied []string
	for _, a := range r.Answers {
		if !a.Allowed {
			denied = append(denied, a.Action+" on "+printable(a.Resource))
		}
	}
	if denied != nil {
		return fmt.Errorf("denied: %s", strings.Join(denied, ", "))
	}
	return nil
}

func writePolicyReport(b *bytes.Buffer, r admin.PolicyReport) {
	if r.CertificateID != "" {
		fmt.Fprintf(b, "certificate  %s\n", r.CertificateID)
	}
	thing := "none that is named as the client ID is attached"
	if r.Thing != "" {
		thing = r.Thing
	}
	fmt.Fprintf(b, "account      %s\nclient       %s\nthing        %s\n", r.Account, printable(r.ClientID), thing)
	for _, p := range r.Policies {
		fmt.Fprintf(b, "policy       %s\n", strings.TrimPrefix(p.String(), "policy "))
	}
	for _, a := range r.Answers {
		verdict := "ALLOWED"
		if !a.Allowed {
			verdict = "DENIED "
		}
		fmt.Fprintf(b, "\n%s  %s on %s\n", verdict, a.Action, printable(a.Resource))
		if a.Denial != "" {
			fmt.Fprintf(b, "         %s\n", printable(a.Denial))
		}
		for _, s := range a.Statements {
			writeStatement(b, s)
		}
	}
}

// writeStatement marks the statement that decides with > and others that would
// have with +.
func writeStatement(b *bytes.Buffer, s admin.PolicyStatement) {
	mark := map[string]string{string(policy.Decides): ">", string(policy.Applies): "+"}[s.Role]
	source := policy.Source{Statement: s.Statement, Sid: s.Sid}
	fmt.Fprintf(b, "%1s %-5s  %s, %s: %s", mark, s.Effect, strings.TrimPrefix(s.PolicyName.String(), "policy "), source, s.Role)
	if s.Cause != "" {
		fmt.Fprintf(b, ": %s", printable(s.Cause))
	}
	b.WriteString("\n")
}
