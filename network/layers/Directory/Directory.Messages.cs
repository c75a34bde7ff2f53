using System.Buffers.Binary;

namespace Florete.Layers;

/// <content>What neighbours send.</content>
public sealed partial class Directory
{
    /// <summary>Takes a message of a neighbour; never throws whatever it contains.</summary>
    public void Receive(DirectoryPeer peer, ReadOnlySpan<byte> message)
    {
        if (peer.IsRemoved || isDisposed) return;
        peer.ReceivedMessages++;
        peer.ReceivedBytes += message.Length;
        if (message.Length > DirectoryLimits.MaxMessageBytes)
        {
            counters.Refuse(DirectoryRefusal.Malformed, peer, "a message that is too long");
            return;
        }
        if (!SectionReader.TryOpen(message, out var sections))
        {
            counters.Refuse(DirectoryRefusal.Malformed, peer, "a message of another version");
            return;
        }
        while (sections.Next())
        {
            if (!TakeSection(peer, sections.Type, sections.Content))
            {
                counters.Refuse(DirectoryRefusal.Malformed, peer, "a section");
                return;
            }
        }
        if (sections.IsMalformed) counters.Refuse(DirectoryRefusal.Malformed, peer, "a message that ends within a section");
    }

    private bool TakeSection(DirectoryPeer peer, SectionType type, ReadOnlySpan<byte> content)
    {
        switch (type)
        {
            case SectionType.Record:
                if (content.Length < 2) return false;
                intake.OfferRecord(peer, content[2..], BinaryPrimitives.ReadUInt16BigEndian(content));
                return true;
            case SectionType.Acknowledgement:
                if (content.Length % 8 != 0) return false;
                for (; !content.IsEmpty; content = content[8..])
                {
                    peer.Outbox.Acknowledged(BinaryPrimitives.ReadUInt64BigEndian(content), loop.Now);
                }
                peer.Flush();
                return true;
            case SectionType.Fragment:
                if (!Fragment.TryParse(content, out var fragment)) return false;
                if (fragment.What == Fragment.OfCertificate && !intake.Wanted.IsWanted(fragment.Hash)) return true;
                if (!peer.Reassembly.TryAdd(fragment, out var whole, out var age)) return true;
                if (fragment.What == Fragment.OfCertificate) intake.OfferChain(peer, whole);
                else intake.OfferRecord(peer, whole, age);
                return true;
            case SectionType.CertificateRequest:
                if (content.Length % CertificateHash.Bytes != 0) return false;
                for (; !content.IsEmpty; content = content[CertificateHash.Bytes..])
                {
                    if (store.TryGetChain(CertificateHash.Read(content), out var chain)) peer.SendChain(chain);
                }
                return true;
            case SectionType.Certificate:
                intake.OfferChain(peer, content);
                return true;
            case SectionType.Summary:
                return peer.Exchange!.OnSummary(content);
            case SectionType.Entries:
                return peer.Exchange!.OnEntries(content);
            case SectionType.RecordRequest:
                return peer.Exchange!.OnRequest(content);
            default:
                return ((byte)type & 0x80) == 0;
        }
    }
}
