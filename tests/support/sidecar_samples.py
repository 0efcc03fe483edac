"""Sidecars written by hand in the manner of several programs, and one of each odd form."""

RDF = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
DC = 'xmlns:dc="http://purl.org/dc/elements/1.1/"'

LIGHTROOM = b"""\
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe XMP Core 7.0">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:lr="http://ns.adobe.com/lightroom/1.0/"
    xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/"
   xmp:Rating="4"
   xmp:Label='a "quoted" &gt; label'
   crs:Version="16.0"
   crs:Exposure2012="+0.35"
   crs:Look=" dc:subject='a trap' ">
   <dc:subject>
    <rdf:Bag>
     <rdf:li>Places</rdf:li>
     <rdf:li>France</rdf:li>
     <rdf:li>Paris</rdf:li>
     <rdf:li>holiday</rdf:li>
    </rdf:Bag>
   </dc:subject>
   <lr:hierarchicalSubject>
    <rdf:Bag>
     <rdf:li>Places|France|Paris</rdf:li>
    </rdf:Bag>
   </lr:hierarchicalSubject>
   <crs:ToneCurvePV2012>
    <rdf:Seq>
     <rdf:li>0, 0</rdf:li>
     <rdf:li>255, 255</rdf:li>
    </rdf:Seq>
   </crs:ToneCurvePV2012>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""

DIGIKAM = b"""\
<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:digiKam="http://www.digikam.org/ns/1.0/"
    xmlns:MicrosoftPhoto="http://ns.microsoft.com/photo/1.0/"
   digiKam:PickLabel="0"
   MicrosoftPhoto:Rating="50">
   <digiKam:TagsList>
    <rdf:Seq>
     <rdf:li>Animals/Cat</rdf:li>
     <rdf:li>People/Zo\xc3\xab &amp; Jim</rdf:li>
    </rdf:Seq>
   </digiKam:TagsList>
   <MicrosoftPhoto:LastKeywordXMP>
    <rdf:Bag>
     <rdf:li>Animals/Cat</rdf:li>
    </rdf:Bag>
   </MicrosoftPhoto:LastKeywordXMP>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""

DARKTABLE = b"""\
<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:darktable="http://darktable.sf.net/"
    xmlns:dc="http://purl.org/dc/elements/1.1/"
   darktable:xmp_version="5"
   darktable:history_end="1">
   <darktable:masks_history>
    <rdf:Seq/>
   </darktable:masks_history>
   <darktable:history>
    <rdf:Seq>
     <rdf:li
      darktable:num="0"
      darktable:operation="exposure"
      darktable:params="gz02eJxjYGBg"/>
    </rdf:Seq>
   </darktable:history>
   <dc:subject>
    <rdf:Seq>
     <rdf:li>darktable|format|jpg</rdf:li>
    </rdf:Seq>
   </dc:subject>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""

ADOBE_PACKET = (
    b"""<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\r
<!-- before --><x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF """
    b"""xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>\r
<rdf:Description rdf:about='uuid:1' xmlns:exif='http://ns.adobe.com/exif/1.0/'>\r
  <exif:GPSLatitude>48,51.5N</exif:GPSLatitude><?pi inside?>\r
</rdf:Description>\r
<rdf:Description rdf:about='uuid:1' xmlns:d='http://purl.org/dc/elements/1.1/'>\r
  <d:subject><rdf:Bag><rdf:li>caf\xc3\xa9</rdf:li></rdf:Bag></d:subject>\r
  <d:title><rdf:Alt><rdf:li xml:lang='x-default'><![CDATA[<b>]]></rdf:li></rdf:Alt></d:title>\r
</rdf:Description>\r
</rdf:RDF></x:xmpmeta>\r
""" + b" " * 200 + b'\n<?xpacket end="w"?>'
)

BARE = f'<rdf:RDF {RDF}><rdf:Description rdf:about=""/></rdf:RDF>'.encode()
NO_BLOCK = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF {RDF}/></x:xmpmeta>'.encode()
ATTRIBUTE = (
    f'<rdf:RDF {RDF}><rdf:Description {DC} dc:subject="one" dc:format="f"/></rdf:RDF>'.encode()
)
TEXT = (
    f"<rdf:RDF {RDF} {DC}><rdf:Description><dc:subject>one</dc:subject>"
    "<dc:title/></rdf:Description></rdf:RDF>"
).encode()
EMPTY = (
    f"<rdf:RDF {RDF} {DC}><rdf:Description>\n<dc:subject><rdf:Bag/></dc:subject>\n"
    "</rdf:Description></rdf:RDF>"
).encode()
OTHER_PREFIXES = b"""\
<RDF xmlns="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
 <Description xmlns:dc="urn:not-dublin-core" dc:subject="not a keyword"
   xmlns:rdf="urn:not-rdf">
  <subject xmlns="http://purl.org/dc/elements/1.1/"
   ><Bag xmlns="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><li>one</li></Bag></subject>
 </Description>
</RDF>"""

SAMPLES = {
    "lightroom": LIGHTROOM,
    "digikam": DIGIKAM,
    "darktable": DARKTABLE,
    "adobe packet": ADOBE_PACKET,
    "bare": BARE,
    "attribute": ATTRIBUTE,
    "text": TEXT,
    "empty": EMPTY,
    "other prefixes": OTHER_PREFIXES,
    "with a byte order mark": b"\xef\xbb\xbf" + DIGIKAM,
}
