package badgerdb
import ("os";"strconv";"github.com/dgraph-io/badger/v4";"github.com/dgraph-io/badger/v4/options")
func env(k string, d int64) int64 { if v,err:=strconv.ParseInt(os.Getenv(k),10,64); err==nil {return v}; return d }
func tune(o badger.Options) badger.Options {
 o.BaseTableSize=env("BT",2)<<20
 o.BaseLevelSize=env("BL",10)<<20
 o.NumLevelZeroTables=int(env("L0",5))
 o.NumLevelZeroTablesStall=int(env("L0S",15))
 o.NumCompactors=int(env("NC",2))
 o.NumMemtables=int(env("NM",3))
 o.Compression=options.CompressionType(env("COMP",1))
 o.ValueThreshold=env("VT",1<<20)
 o.LevelSizeMultiplier=int(env("LM",10))
 return o
}
