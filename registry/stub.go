package registry

import (
	"context"
	"errors"
	"time"

	"github.com/muster-mqtt/muster"
)

var errStub = errors.New("registry: not there yet")

type Store struct{ Config }
type Sealer struct{}

func New(c Config) (*Store, error)                                 { return &Store{c}, nil }
func NewSealer(key []byte) (*Sealer, error)                        { return &Sealer{}, nil }
func (*Sealer) Seal(plain []byte, context string) []byte           { return nil }
func (*Sealer) Open(sealed []byte, context string) ([]byte, error) { return nil, errStub }
func (s *Store) Run(ctx context.Context) error                     { return errStub }
func (s *Store) Err() error                                        { return s.Engine.Err() }
func (s *Store) Seq(ctx context.Context) (uint64, error)           { return 0, errStub }
func (s *Store) Changes(ctx context.Context, after uint64, fn func(muster.Change) error) error {
	return errStub
}
func (s *Store) CreateAccount(ctx context.Context, a muster.Account) error { return errStub }
func (s *Store) Account(ctx context.Context, id string) (muster.Account, error) {
	return muster.Account{}, errStub
}
func (s *Store) Accounts(ctx context.Context) ([]muster.Account, error) { return nil, errStub }
func (s *Store) CreateAccessKey(ctx context.Context, account string) (muster.AccessKey, error) {
	return muster.AccessKey{}, errStub
}
func (s *Store) AccessKey(ctx context.Context, id string) (muster.AccessKey, error) {
	return muster.AccessKey{}, errStub
}
func (s *Store) RegistrationCode(ctx context.Context, account string) (string, error) {
	return "", errStub
}
func (s *Store) DeleteRegistrationCode(ctx context.Context, account string) error { return errStub }
func (s *Store) RegisterAuthority(ctx context.Context, r AuthorityRegistration) (muster.Authority, error) {
	return muster.Authority{}, errStub
}
func (s *Store) UpdateAuthority(ctx context.Context, account, id string, u AuthorityUpdate) (muster.Authority, error) {
	return muster.Authority{}, errStub
}
func (s *Store) Authority(ctx context.Context, account, id string) (muster.Authority, error) {
	return muster.Authority{}, errStub
}
func (s *Store) ListAuthorities(ctx context.Context, account, templateName string, p Page) ([]muster.Authority, Cursor, error) {
	return nil, nil, errStub
}
func (s *Store) DeleteAuthority(ctx context.Context, account, id string) error { return errStub }
func (s *Store) AuthoritiesBySubject(ctx context.Context, rawSubject []byte) ([]muster.Authority, error) {
	return nil, errStub
}
func (s *Store) Issuer(ctx context.Context, account, id string) (muster.Issuer, error) {
	return muster.Issuer{}, errStub
}
func (s *Store) RegisterCertificate(ctx context.Context, r CertificateRegistration) (muster.Certificate, error) {
	return muster.Certificate{}, errStub
}
func (s *Store) Certificate(ctx context.Context, account, id string) (muster.Certificate, error) {
	return muster.Certificate{}, errStub
}
func (s *Store) Find(ctx context.Context, id string) ([]muster.Certificate, []muster.Tombstone, error) {
	return nil, nil, errStub
}
func (s *Store) ListCertificates(ctx context.Context, account string, p Page) ([]muster.Certificate, Cursor, error) {
	return nil, nil, errStub
}
func (s *Store) ListCertificatesByAuthority(ctx context.Context, account, authorityID string, p Page) ([]muster.Certificate, Cursor, error) {
	return nil, nil, errStub
}
func (s *Store) ListCertificatesByStatus(ctx context.Context, account string, status muster.Status, p Page) ([]muster.Certificate, Cursor, error) {
	return nil, nil, errStub
}
func (s *Store) UpdateCertificateStatus(ctx context.Context, account, id string, status muster.Status) (muster.Certificate, error) {
	return muster.Certificate{}, errStub
}
func (s *Store) DeleteCertificate(ctx context.Context, account, id string, force bool) error {
	return errStub
}
func (s *Store) ForgetCertificate(ctx context.Context, account, id string) error { return errStub }
func (s *Store) Revoke(ctx context.Context, account, id string) error            { return errStub }
func (s *Store) Enrol(ctx context.Context, e muster.Enrolment) (muster.Certificate, error) {
	return muster.Certificate{}, errStub
}
func (s *Store) PendingCount(ctx context.Context, account, authorityID string) (int, error) {
	return 0, errStub
}
func (s *Store) Principal(ctx context.Context, account, certificateID, clientID string) (muster.Principal, error) {
	return muster.Principal{}, errStub
}
func (s *Store) CreateThing(ctx context.Context, t muster.Thing) (muster.Thing, error) {
	return muster.Thing{}, errStub
}
func (s *Store) Thing(ctx context.Context, account, name string) (muster.Thing, error) {
	return muster.Thing{}, errStub
}
func (s *Store) ListThings(ctx context.Context, account string, p Page) ([]muster.Thing, Cursor, error) {
	return nil, nil, errStub
}
func (s *Store) CreateThingType(ctx context.Context, t muster.ThingType) (muster.ThingType, error) {
	return muster.ThingType{}, errStub
}
func (s *Store) ThingType(ctx context.Context, account, name string) (muster.ThingType, error) {
	return muster.ThingType{}, errStub
}
func (s *Store) CreateThingGroup(ctx context.Context, g muster.ThingGroup) (muster.ThingGroup, error) {
	return muster.ThingGroup{}, errStub
}
func (s *Store) ThingGroup(ctx context.Context, account, name string) (muster.ThingGroup, error) {
	return muster.ThingGroup{}, errStub
}
func (s *Store) CreatePolicy(ctx context.Context, account, name, document string, tags []muster.Tag) (muster.Policy, error) {
	return muster.Policy{}, errStub
}
func (s *Store) Policy(ctx context.Context, account, name string) (muster.Policy, error) {
	return muster.Policy{}, errStub
}
func (s *Store) AttachPolicy(ctx context.Context, account, policy string, target muster.ResourceKind, targetID string) error {
	return errStub
}
func (s *Store) DetachPolicy(ctx context.Context, account, policy string, target muster.ResourceKind, targetID string) error {
	return errStub
}
func (s *Store) CreateTemplate(ctx context.Context, t muster.Template, body string) (muster.Template, error) {
	return muster.Template{}, errStub
}
func (s *Store) Template(ctx context.Context, account, name string) (muster.Template, error) {
	return muster.Template{}, errStub
}
func (s *Store) Tags(ctx context.Context, account string, kind muster.ResourceKind, id string) ([]muster.Tag, error) {
	return nil, errStub
}
func (s *Store) TagResource(ctx context.Context, account string, kind muster.ResourceKind, id string, tags []muster.Tag) error {
	return errStub
}
func (s *Store) UntagResource(ctx context.Context, account string, kind muster.ResourceKind, id string, keys []string) error {
	return errStub
}
func (s *Store) Answer(ctx context.Context, key string) ([]byte, error) { return nil, errStub }
func (s *Store) PutAnswer(ctx context.Context, key string, der []byte, expires time.Time) error {
	return errStub
}
func (s *Store) SaveRefusals(ctx context.Context, put, drop []muster.Refusal) error { return errStub }
func (s *Store) Refusals(ctx context.Context) ([]muster.Refusal, error)             { return nil, errStub }
